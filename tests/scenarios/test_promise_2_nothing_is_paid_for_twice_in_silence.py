from pathlib import Path

from .conftest import Cli, Server, manifest, report, sandbox_process, write_job

JOB = """
prompts: [a neon city, a harbour at dawn, a red fox]
models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]
params: {steps: 20}
"""


def test_a_finished_job_sends_nothing_and_says_so(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)

    first = cli("run", job, base_url=sandbox.base_url)
    again = cli("run", job, base_url=sandbox.base_url)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert sandbox.bill()["requests"] == 6
    assert "nothing was sent" in again.err


def test_editing_one_prompt_buys_one_picture_per_model(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    cli("run", job, base_url=sandbox.base_url)

    job.write_text(job.read_text().replace("a red fox", "a red fox in the snow"))
    cli("run", job, base_url=sandbox.base_url)

    assert sandbox.bill()["requests"] == 8


def test_renaming_job_and_files_buys_nothing_and_overwrites_nothing(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, JOB)
    cli("run", job, base_url=sandbox.base_url)
    before = {row["file_name"]: (folder / row["file_name"]).read_bytes() for row in manifest(folder)}

    renamed = write_job(
        tmp_path,
        JOB + 'name: other\noutput: {folder: ../outputs/foo, name: "{index}-{model}"}\n'.replace("../", ""),
        "renamed.yaml",
    )
    cli("run", renamed, base_url=sandbox.base_url)
    changed = write_job(tmp_path, renamed.read_text().replace("steps: 20", "steps: 30"), "changed.yaml")
    cli("run", changed, base_url=sandbox.base_url)

    after = {name: (folder / name).read_bytes() for name in before}
    assert before == after
    assert sandbox.bill()["requests"] == 6 + 3  # kontext takes no steps


def test_an_answer_that_never_came_is_listed_costed_and_tried_once_more(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, "prompts: ['a lamp [[fault:disconnect]]']\nmodels: [black-forest-labs/flux.1-dev]\n")
    with sandbox_process(tmp_path) as server:
        first = cli("run", job, base_url=server.base_url)
        second = cli("run", job, base_url=server.base_url)
        billed = server.bill()["requests"]

    assert first.code == 9
    assert second.code == 9
    assert billed == 2
    assert report(folder)["counts"]["unknown"] == 1
    assert report(folder)["money"]["maybe_billed"] == "0.20"
    assert "maybe billed" in first.err
    assert "--retry unknown" in first.err


def test_on_hold_a_call_of_unknown_outcome_is_never_repeated(cli: Cli, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: ['a lamp [[fault:disconnect]]']\nmodels: [black-forest-labs/flux.1-dev]\non_unknown: hold\n",
    )
    with sandbox_process(tmp_path) as server:
        codes = [cli("run", job, base_url=server.base_url).code for _ in range(2)]
        billed = server.bill()["requests"]

    assert codes == [9, 9]
    assert billed == 1


def test_a_budget_is_never_passed(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    prompts = "\n".join(f"  - lamp number {number}" for number in range(40))
    job = write_job(
        tmp_path,
        f"prompts:\n{prompts}\nmodels: [black-forest-labs/flux.1-dev]\nbudget: {{images: 10}}\nlimits: {{concurrency: 32}}\n",
    )

    codes = [cli("run", job, base_url=sandbox.base_url).code for _ in range(2)]

    assert codes == [5, 5]
    assert sandbox.bill()["pictures"] == 10
