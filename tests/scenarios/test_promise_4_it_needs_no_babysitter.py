import json
from pathlib import Path

from .conftest import Cli, manifest, report, sandbox_process, write_job


def many(count: int) -> str:
    return "prompts:\n" + "".join(f"  - lamp number {number}\n" for number in range(count))


DEV = "models: [black-forest-labs/flux.1-dev]\n"


def test_it_finds_the_providers_limit_by_itself(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, many(60) + DEV + "limits: {concurrency: 32}\n")
    with sandbox_process(tmp_path, "--concurrency", "5", "--latency", "0.05") as server:
        ran = cli("run", job, base_url=server.base_url)
        bill = server.bill()

    assert ran.code == 0, ran.err
    assert bill["pictures"] == len(manifest(tmp_path / "outputs" / "foo")) == 60


def test_passing_faults_cost_a_little_time_and_no_picture(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    marked = "  - 'lamp [[fault:500-moderation]]'\n  - 'lamp [[fault:refuse-disconnect@1]]'\n"
    job = write_job(tmp_path, many(60) + marked + DEV)
    with sandbox_process(tmp_path, "--faults", "429:0.1,503:0.05,picture-500-once:0.2") as server:
        ran = cli("run", job, base_url=server.base_url)

    counts = report(folder)["counts"]
    assert ran.code == 3, ran.err
    assert (counts["done"], counts["failed"], counts["unknown"]) == (61, 1, 0)
    failure = json.loads((folder / "failures.jsonl").read_text())
    assert failure["class"] == "content_policy"
    assert failure["cost"] == "0"
    assert report(folder)["money"]["maybe_billed"] == "0.10"


def test_a_model_in_trouble_starves_no_other(cli: Cli, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        """
prompts:
  - {prompt: "lamp [[fault:400-permission]]", model: "*text-to-image"}
  - {prompt: a chair, model: "*text-to-image"}
  - {file: many.txt, model: "*flux.1-dev"}
models: [black-forest-labs/flux-kontext-pro/text-to-image, black-forest-labs/flux.1-dev]
limits: {concurrency: 1}
""",
    )
    (tmp_path / "jobs" / "many.txt").write_text("".join(f"chair {number}\n" for number in range(30)))
    with sandbox_process(tmp_path) as server:
        ran = cli("run", job, base_url=server.base_url)

    by_label = {model["label"]: model for model in report(tmp_path / "outputs" / "foo")["models"]}
    assert ran.code == 7, ran.err
    assert "may not use the model" in ran.err
    assert by_label["flux.1-dev"]["done"] == 30
    assert by_label["flux-kontext-pro-text-to-image"]["pending"] == 2


def test_a_refused_prompt_fails_alone_and_is_not_asked_again(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, 'a chair [[fault:400-content]]', a cup]\n" + DEV)
    with sandbox_process(tmp_path) as server:
        codes = [cli("run", job, base_url=server.base_url).code for _ in range(2)]
        requests = server.bill()["requests"]

    assert codes == [3, 3]
    assert requests == 3


def test_without_a_terminal_there_are_plain_lines_and_no_escape_codes(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, many(5) + DEV + "provider: sandbox\n")

    ran = cli("run", job, key="")
    quiet = cli("run", job, "--quiet", key="")

    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out + ran.err
    assert 2 <= len(ran.err.splitlines()) <= 3
    assert (quiet.out, quiet.err) == ("", "")


def test_events_are_json_lines_and_the_last_is_the_report(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, many(3) + DEV + "provider: sandbox\n")

    ran = cli("run", job, "--json", key="")

    names = [event["event"] for event in ran.events]
    assert names[0] == "run_started"
    assert names[-1] == "run_ended"
    assert names.count("picture_stored") == 3
    assert ran.events[-1]["report"]["counts"]["done"] == 3
    assert ran.err == ""


def test_a_dead_provider_leaves_everything_pending_and_a_later_run_makes_it(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, many(12) + DEV + "limits: {give_up_after: 2}\n")
    with sandbox_process(tmp_path) as server:
        port = int(server.base_url.split(":")[2].removesuffix("/v1"))
    dead = cli("run", job, base_url=server.base_url)
    counts = report(tmp_path / "outputs" / "foo")["counts"]
    with sandbox_process(tmp_path, port=port) as server:
        alive = cli("run", job, base_url=server.base_url)
        billed = server.bill()["pictures"]

    assert (dead.code, alive.code) == (4, 0)
    assert "connection refused; gave up after 2 s" in dead.err
    assert (counts["pending"], counts["unknown"]) == (12, 0)
    assert billed == len(manifest(tmp_path / "outputs" / "foo")) == 12
