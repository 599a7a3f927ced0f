"""What is stored and worth a look: flagged by what it is, and counted wherever one looks."""

import json
from pathlib import Path

from .conftest import Cli, Server, manifest, report, write_job

JOB = (
    "prompts:\n  - {id: night, prompt: 'a lamp [[fault:picture-black]]'}\n"
    "  - {id: stuck, prompt: 'a cup [[fault:picture-near]]'}\n"
    "  - {id: copies, prompt: 'a chair [[fault:picture-same]]'}\n"
    "  - {id: fine, prompt: a fox in the snow}\n"
    "models: [black-forest-labs/flux.1-dev]\nseeds: {count: 3}\n"
)


def flags_by_prompt(folder: Path) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for row in sorted(manifest(folder), key=lambda row: row["seed"]):
        flags = [flag for flag in json.loads(row["flags"]) if flag != "size"]
        found.setdefault(row["prompt_id"], []).append(sorted(flags))
    return {prompt: sorted(flags) for prompt, flags in found.items()}


def test_each_odd_picture_says_what_is_odd_about_it(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    ran = cli("run", write_job(tmp_path, JOB), base_url=sandbox.base_url)

    folder = tmp_path / "outputs" / "foo"
    assert ran.code == 0, ran.err
    assert flags_by_prompt(folder) == {
        "night": [["black"], ["black", "duplicate"], ["black", "duplicate"]],
        "stuck": [[], ["near-duplicate"], ["near-duplicate"]],
        "copies": [[], ["duplicate"], ["duplicate"]],
        "fine": [[], [], []],
    }


def test_the_summary_and_the_status_count_them_in_words(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, JOB)
    ran = cli("run", job, base_url=sandbox.base_url)
    again = cli("run", job, base_url=sandbox.base_url)
    status = cli("status", job, base_url=sandbox.base_url)
    counted = {"black": 3, "duplicate": 4, "near-duplicate": 2}

    words = "3 black pictures (the safety filter?)"
    assert words in " ".join(ran.err.split())
    assert words not in again.err, "nothing was made in that run"
    assert words in " ".join(status.out.split())
    folder = tmp_path / "outputs" / "foo"
    assert report(folder)["flags"] == {}
    shown = json.loads(cli("status", job, "--json", base_url=sandbox.base_url).out)
    assert {flag: number for flag, number in shown["flags"].items() if flag != "size"} == counted


def test_a_ledger_from_before_looks_goes_on(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    import sqlite3

    from batchgen.storage import schema

    job = write_job(tmp_path, JOB)
    assert cli("run", job, "--limit", "4", base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"
    old = tmp_path / "old.sqlite3"
    with sqlite3.connect(old) as ledger:
        ledger.executescript(schema._V1)
        ledger.execute("ATTACH ? AS new", (str(folder / "ledger.sqlite3"),))
        for (table,) in ledger.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(row[1] for row in ledger.execute(f"PRAGMA main.table_info({table})"))
            ledger.execute(f"INSERT INTO main.{table}({columns}) SELECT {columns} FROM new.{table}")
        ledger.commit()
        ledger.execute("PRAGMA user_version = 1")
    ledger.close()
    for part in folder.glob("ledger.sqlite3*"):
        part.unlink()
    old.rename(folder / "ledger.sqlite3")

    looked = [cli(verb, job, base_url=sandbox.base_url) for verb in ("status", "plan", "gallery")]
    looked.append(cli("export", job, "--format", "csv", "--output", tmp_path / "out", base_url=sandbox.base_url))
    ran = cli("run", job, base_url=sandbox.base_url)
    verified = cli("verify", job, base_url=sandbox.base_url)

    assert [each.code for each in looked] == [0, 0, 0, 0], looked
    assert (ran.code, verified.code) == (0, 0), ran.err
    assert len(manifest(folder)) == 12
    assert len(sandbox.bill()["entries"]) == 12
