import json
import sqlite3
from pathlib import Path

from .conftest import Cli, Server, manifest, write_job

JOB = "prompts: [a lamp, a chair]\nmodels: [black-forest-labs/flux.1-dev]\nparams: {n: 2}\n"


def made(cli: Cli, sandbox: Server, tmp_path: Path) -> tuple[Path, Path]:
    job = write_job(tmp_path, JOB)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    return job, tmp_path / "outputs" / "foo"


def test_a_rebuilt_ledger_buys_nothing_again_and_keeps_the_old_one_readable(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job, folder = made(cli, sandbox, tmp_path)
    before = [row["sha256"] for row in manifest(folder)]

    rebuilt = cli("verify", folder, "--rebuild")
    again = cli("run", job, base_url=sandbox.base_url)

    (old,) = [path for path in folder.glob("ledger.sqlite3.before-*") if not path.name.endswith(("-wal", "-shm"))]
    with sqlite3.connect(old) as ledger:
        assert ledger.execute("SELECT COUNT(*) FROM pictures").fetchone()[0] == 4
    ledger.close()
    assert (rebuilt.code, again.code) == (0, 0), rebuilt.err + again.err
    assert sandbox.bill()["requests"] == 2
    assert sorted(row["sha256"] for row in manifest(folder)) == sorted(before)


def test_a_rebuild_that_fails_leaves_everything_as_it_was(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job, folder = made(cli, sandbox, tmp_path)
    text = (folder / "manifest.jsonl").read_text()
    (folder / "manifest.jsonl").write_text("not a line\n" + text)
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()

    failed = cli("verify", folder, "--rebuild")
    refused = cli("run", job, base_url=sandbox.base_url)
    (folder / "manifest.jsonl").write_text(text)
    rebuilt = cli("verify", folder, "--rebuild")
    again = cli("run", job, base_url=sandbox.base_url)

    assert (failed.code, refused.code, rebuilt.code, again.code) == (6, 6, 0, 0)
    assert "manifest.jsonl:1" in failed.err
    assert sandbox.bill()["requests"] == 2


def test_an_empty_ledger_beside_a_manifest_is_no_reason_to_buy_again(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job, folder = made(cli, sandbox, tmp_path)
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()
    (folder / "ledger.sqlite3").touch()

    ran = cli("run", job, base_url=sandbox.base_url)
    planned = cli("plan", job, base_url=sandbox.base_url)

    assert (ran.code, planned.code) == (6, 6)
    assert "--rebuild" in ran.err
    assert sandbox.bill()["requests"] == 2


def test_the_plan_of_a_retry_counts_what_it_would_buy(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: ['lamp [[fault:400]]']\nmodels: [black-forest-labs/flux.1-dev]\n")
    cli("run", job, base_url=sandbox.base_url)

    plain = cli("run", job, "--dry-run", base_url=sandbox.base_url)
    retry = cli("run", job, "--dry-run", "--retry", "failed", base_url=sandbox.base_url)

    assert "nothing to buy" in plain.out
    assert "1 new" in retry.out
    assert "0.10" in retry.out


def test_nothing_is_spent_before_every_job_is_known_to_be_runnable(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    good = write_job(tmp_path, JOB, "good.yaml")
    keyless = write_job(
        tmp_path,
        JOB + "provider: {name: modelverse, api_key_env: OTHER_KEY}\n",
        "keyless.yaml",
    )

    ran = cli("run", good, keyless, base_url=sandbox.base_url)

    assert ran.code == 7
    assert "OTHER_KEY" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_a_job_that_cannot_start_does_not_stop_the_ones_after_it(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    damaged = write_job(tmp_path, JOB, "damaged.yaml")
    (tmp_path / "outputs" / "damaged").mkdir(parents=True)
    (tmp_path / "outputs" / "damaged" / "ledger.sqlite3").write_bytes(b"no database at all, but long enough" * 99)
    good = write_job(tmp_path, JOB, "good.yaml")

    ran = cli("run", damaged, good, base_url=sandbox.base_url)

    assert ran.code == 6, ran.err
    assert "damaged" in ran.err
    assert len(manifest(tmp_path / "outputs" / "good")) == 4


def test_verify_says_what_is_missing_as_json_too(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    _, folder = made(cli, sandbox, tmp_path)
    name = manifest(folder)[0]["file_name"]
    (folder / name).unlink()

    found = json.loads(cli("verify", folder, "--json").out)

    assert found["pictures"] == 4
    assert [(entry["file_name"], entry["what"]) for entry in found["findings"]] == [(name, "missing")]


def test_a_lost_ledger_comes_back_from_its_copy_with_what_was_maybe_billed(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    text = "prompts: [a lamp, 'a cup [[fault:504]]']\non_unknown: hold\nmodels: [black-forest-labs/flux.1-dev]\n"
    job, folder = write_job(tmp_path, text), tmp_path / "outputs" / "foo"
    assert cli("run", job, base_url=sandbox.base_url).code == 9
    (copy,) = (folder / "backups").iterdir()
    early = copy.read_bytes()
    write_job(tmp_path, text.replace("a lamp", "a lamp, a fox"))
    assert cli("run", job, base_url=sandbox.base_url).code == 9
    copy.write_bytes(early)  # as if the last run had been cut off before it made one
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()

    rebuilt = cli("verify", folder, "--rebuild")
    again = cli("run", job, base_url=sandbox.base_url)
    status = json.loads(cli("status", job, "--json", base_url=sandbox.base_url).out)

    assert rebuilt.code == 0, rebuilt.err
    assert f"begun with its copy {copy.name} (1 pictures of the manifest known), 1 pictures entered" in rebuilt.out
    assert again.code == 9
    assert sandbox.bill()["requests"] == 3
    assert (status["counts"]["done"], status["counts"]["unknown"]) == (2, 1)
    assert status["money"]["maybe_billed"] == status["money"]["spent"].replace("0.20", "0.10")
