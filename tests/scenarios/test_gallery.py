"""The gallery of real runs: what its data files say is what the ledger and the job say, in every state of a folder."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from batchgen.storage.landings import end_picture

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, sandbox_process, write_job

DEV = "models: [black-forest-labs/flux.1-dev]\nparams: {size: 256x256, steps: 1}\n"
TWO = (
    "models: [black-forest-labs/flux.1-dev, {id: black-forest-labs/flux-kontext-pro/text-to-image, label: wide}]\n"
    "params: {steps: 1}\n"
)


class Shown:
    """A gallery read back from its data files."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "gallery" / "data"
        (self.index,) = self._call("index.js", "index")
        self.cells: list[dict[str, Any]] = []
        details: list[Any] = []
        for number in range(-(-self.index["cells"] // self.index["details_per_file"])):
            place, part = self._call(f"details-{number}.js", "details")
            assert place == number
            details += part
        for number in range(-(-self.index["cells"] // self.index["cells_per_file"])):
            place, columns = self._call(f"cells-{number}.js", "cells")
            assert place == number
            self.cells += [self._cell(columns, at) for at in range(len(columns["id"]))]
        assert len(self.cells) == len(details) == self.index["cells"]
        for cell, detail in zip(self.cells, details, strict=True):
            assert detail["task"].startswith(cell["id"])
            cell["detail"] = detail

    def _call(self, name: str, expected: str) -> list[Any]:
        text = (self.data / name).read_bytes().decode("ascii")
        found = re.fullmatch(r"batchgen\.(\w+)\(([^<]*)\);\n", text)
        assert found is not None, text[:300]
        assert found[1] == expected
        arguments: list[Any] = json.loads(f"[{found[2]}]")
        return arguments

    def _cell(self, columns: dict[str, Any], at: int) -> dict[str, Any]:
        index = self.index
        axes = {axis["key"]: axis["values"][columns["axis"][axis["key"]][at]]["id"] for axis in index["axes"]}
        flags = [flag for bit, flag in enumerate(index["flags"]) if columns["flags"][at] >> bit & 1]
        state = index["states"][columns["state"][at]]
        return (
            axes
            | {"state": state, "flags": flags}
            | {key: columns[key][at] for key in ("id", "n", "now", "thumb", "w", "h")}
        )

    def values(self, axis: str) -> dict[str, str]:
        (found,) = (each for each in self.index["axes"] if each["key"] == axis)
        return {value["id"]: value["text"] for value in found["values"]}

    def states(self, *, now: bool = True) -> list[str]:
        return [cell["state"] for cell in self.cells if cell["now"] == now]


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of the gallery, and which one it is."""
    found = [path for path in (folder / "gallery").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


LAMPS = "provider: sandbox\nprompts: [{id: lamp, prompt: a lamp}, {id: cup, prompt: a cup}, {id: bed, prompt: a bed}]\n"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job and its folder with three pictures, made once for all tests that only look at it."""
    above = tmp_path_factory.mktemp("made")
    job = write_job(above, LAMPS + DEV)
    subprocess.run(
        [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"], env=bare_environment(above), check=True
    )
    return above


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of that job and folder."""
    for name in ("jobs", "outputs"):
        shutil.copytree(made_once / name, tmp_path / name)
    return tmp_path / "jobs" / "foo.yaml", tmp_path / "outputs" / "foo"


def test_a_run_ends_with_a_gallery_of_every_picture_in_plan_order_and_says_where_it_is(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(
        tmp_path,
        "prompts: ['a {style} lamp', {id: cup, prompt: a cup, params: {guidance_scale: 4}}]\n"
        "vars: {style: {oil: thick oil, ink: black ink}}\nseeds: {count: 2}\n" + TWO,
    )
    ran = cli("run", job, base_url=sandbox.base_url)

    folder = tmp_path / "outputs" / "foo"
    shown, lines = Shown(folder), sorted(manifest(folder), key=lambda line: line["index"])
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == f"gallery: {folder}/gallery/index.html"
    assert (folder / "gallery" / "index.html").is_file()
    assert [cell["detail"]["task"] for cell in shown.cells] == [line["task_id"] for line in lines]
    assert [cell["detail"]["file"] for cell in shown.cells] == [line["file_name"] for line in lines]
    for cell, line in zip(shown.cells, lines, strict=True):
        detail = cell["detail"]
        assert (cell["w"], cell["h"], cell["n"], cell["now"], cell["state"]) == (
            line["width"],
            line["height"],
            1,
            1,
            "stored",
        )
        for key, column in (
            ("prompt", "prompt"),
            ("seed", "seed"),
            ("model", "model"),
            ("label", "label"),
            ("cost", "cost"),
            ("currency", "currency"),
            ("bytes", "bytes"),
            ("format", "format"),
            ("request_id", "request_id"),
            ("at", "created_at"),
            ("attempts", "attempts"),
            ("run", "run_id"),
            ("negative", "negative_prompt"),
        ):
            assert detail[key] == line[column], key
        assert detail["vars"] == json.loads(line["vars"])
        assert detail["params"] == json.loads(line["params"])
        assert detail["latency"] == pytest.approx(line["latency_s"], abs=0.001)
        assert (cell["prompt"], cell["model"]) == (line["prompt_id"], line["label"])
    assert shown.values("var:style") == {"oil": "thick oil", "ink": "black ink", "": "–"}
    assert list(shown.values("model").items()) == [
        ("flux.1-dev", "black-forest-labs/flux.1-dev"),
        ("wide", "black-forest-labs/flux-kontext-pro/text-to-image"),
    ]
    assert shown.values("prompt")["cup"] == "a cup"
    assert shown.values("try") == {"1": "1", "2": "2"}
    assert shown.index["summary"]["money"]["billed"] == report(folder)["money"]["spent"]
    assert [model["stored"] for model in shown.index["summary"]["models"]] == [6, 6]
    assert sum(sum(chart["counts"]) for chart in shown.index["summary"]["charts"]["latency"]) == 12


def test_hostile_texts_are_data_wherever_they_stand(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    odd = [
        "</script><img src=x onerror=alert(1)>\"'",
        "two lines\u2028and\u2029more",
        "<!--<script>",
        "雪 🌆 `${x}` \\",
    ]
    job = write_job(tmp_path, "prompts: [{file: odd.jsonl, literal: true}]\n" + DEV)
    rows = [{"prompt": text, "sku": text, "</script>": "<b>", "__proto__": "polluted"} for text in odd]
    (job.parent / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    ran = cli("run", job, base_url=sandbox.base_url)

    shown = Shown.__new__(Shown)
    folder = tmp_path / "outputs" / "foo"
    for path in (folder / "gallery" / "data").iterdir():
        text = path.read_bytes().replace(b'["__proto__"]:', b'"__proto__":')
        path.write_bytes(text)
    Shown.__init__(shown, folder)
    assert ran.code == 0, ran.err
    assert list(shown.values("prompt").values()) == odd
    assert [cell["detail"]["prompt"] for cell in shown.cells] == odd
    assert [cell["detail"]["vars"]["sku"] for cell in shown.cells] == odd
    assert set(shown.values("var:</script>")) == {"<b>"}
    assert set(shown.values("var:__proto__")) == {"polluted"}


def test_what_is_missing_has_its_state_reason_and_price(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: ['a [[fault:400-content]] lamp', 'a [[fault:504]] cup', a chair,"
        " 'a [[fault:empty]] shelf', a table]\non_unknown: hold\n" + DEV,
    )

    ran = cli("run", job, base_url=sandbox.base_url)
    with sqlite3.connect(tmp_path / "outputs" / "foo" / "ledger.sqlite3") as ledger:
        ledger.row_factory = sqlite3.Row
        (picture,) = ledger.execute("SELECT picture_id FROM pictures WHERE file_name LIKE '%chair%'").fetchone()
        end_picture(ledger, picture, "expired", "the link is dead")
    ledger.close()
    write_job(tmp_path, job.read_text().replace("a table]", "a table, a bed]"))
    again = cli("gallery", job, base_url=sandbox.base_url)

    shown = Shown(tmp_path / "outputs" / "foo")
    found = {cell["detail"]["prompt"].split()[-1]: cell for cell in shown.cells}
    states = {name: cell["state"] for name, cell in found.items()}
    assert (ran.code, again.code) == (9, 0)
    assert states == {
        "lamp": "failed",
        "cup": "unknown",
        "chair": "expired",
        "shelf": "lost",
        "table": "stored",
        "bed": "pending",
    }
    prices = {name: (cell["detail"]["price"], cell["detail"]["cost"]) for name, cell in found.items()}
    assert prices == {
        "lamp": ("0.10", "0"),
        "cup": ("0.10", "0.10"),
        "chair": ("0.10", "0.10"),
        "shelf": ("0.10", "0.10"),
        "table": ("0.10", "0.10"),
        "bed": ("0.10", ""),
    }
    assert found["lamp"]["detail"]["class"] == "content_policy"
    assert all(found[name]["detail"]["message"] for name in ("lamp", "cup", "chair", "shelf", "bed"))
    assert found["cup"]["detail"]["maybe_billed"] == 1
    assert set(shown.index["classes"]) >= {"content_policy", "expired"}
    assert {failure["class"] for failure in shown.index["summary"]["failures"]} == set(shown.index["classes"])


def test_pending_cells_say_why_the_run_stopped(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp, a cup]\nbudget: {images: 1}\n" + DEV)

    ran = cli("run", job, base_url=sandbox.base_url)

    shown = Shown(tmp_path / "outputs" / "foo")
    assert ran.code == 5
    assert sorted(shown.states()) == ["pending", "stored"]
    (pending,) = (cell for cell in shown.cells if cell["state"] == "pending")
    assert "budget" in pending["detail"]["message"]


def test_what_the_job_no_longer_asks_for_is_kept_as_earlier_and_only_what_changes_is_written(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    job, folder = made
    first = files_of(folder)

    same = cli("gallery", job)
    unchanged = files_of(folder)
    write_job(tmp_path, job.read_text().replace("a lamp", "a red lamp"))
    edited = cli("gallery", job)

    shown = Shown(folder)
    assert (same.code, edited.code) == (0, 0)
    assert (same.out, same.err) == (f"{folder}/gallery/index.html\n", "")
    assert unchanged == first
    changed = {name for name, facts in files_of(folder).items() if first.get(name) != facts}
    assert changed == {f"gallery/data/{name}" for name in ("index.js", "cells-0.js", "details-0.js")}
    assert [(cell["prompt"], cell["state"], cell["now"]) for cell in shown.cells] == [
        ("lamp", "pending", 1),
        ("cup", "stored", 1),
        ("bed", "stored", 1),
        ("lamp~2", "stored", 0),
    ]
    assert shown.values("prompt") == {"lamp": "a red lamp", "cup": "a cup", "bed": "a bed", "lamp~2": "a lamp"}


def test_files_of_a_larger_gallery_and_of_an_older_page_are_taken_away(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    before = set(files_of(folder))
    stale = [folder / "gallery" / name for name in ("data/cells-1.js", "data/details-7.js", "page/old.js")]
    (folder / "gallery" / "page").mkdir(exist_ok=True)
    kept = folder / "gallery" / "data" / "notes.txt"
    for path in (*stale, kept):
        path.write_text("x")

    assert cli("gallery", folder).code == 0

    assert set(files_of(folder)) - {"gallery/data/notes.txt"} == before
    assert kept.exists()


def test_an_answer_of_several_pictures_has_a_cell_for_each(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(
        tmp_path, "prompts: ['a lamp', 'a [[fault:fewer]] cup']\n" + DEV.replace("steps: 1", "steps: 1, n: 3")
    )

    ran = cli("run", job, base_url=sandbox.base_url)

    shown, lines = Shown(tmp_path / "outputs" / "foo"), manifest(tmp_path / "outputs" / "foo")
    assert ran.code == 0, ran.err
    short = [(cell["n"], "short" in cell["flags"]) for cell in shown.cells]
    assert short == [
        *((n, False) for n in (1, 2, 3)),
        (1, True),
        (2, True),
    ]
    named = sorted((line["index"], line["picture"], line["file_name"]) for line in lines)
    assert [cell["detail"]["file"] for cell in shown.cells] == [name for _, _, name in named]


def test_half_way_through_and_after_a_crash_the_page_shows_what_there_is(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 400}\nlimits: {concurrency: 2}\n" + DEV)
    folder = tmp_path / "outputs" / "foo"
    with sandbox_process(tmp_path, "--latency", "0.3", "--scale", "1") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        until = time.monotonic() + 60
        while len(manifest(folder)) < 3:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        going = cli("gallery", job, base_url=server.base_url)
        running = Shown(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        crashed = cli("gallery", job, base_url=server.base_url)
        after = Shown(folder)
        write_job(tmp_path, job.read_text().replace("count: 400", "count: 12"))
        resumed = cli("run", job, base_url=server.base_url)

    assert (going.code, crashed.code, resumed.code) == (0, 0, 0), going.err + crashed.err + resumed.err
    assert running.index["running"] is True
    assert after.index["running"] is False
    assert {"stored", "pending"} <= set(running.states()) <= {"stored", "pending", "sending", "waiting"}
    assert "sending" not in after.states()
    assert len(running.states()) == len(after.states()) == 400
    for cell in after.cells:
        if cell["state"] == "unknown":
            assert "may have been billed" in cell["detail"]["message"]
            assert cell["detail"]["cost"] == "0.10"
    assert Shown(folder).states() == ["stored"] * 12


def test_one_ctrl_c_ends_the_run_with_a_gallery_too(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 200}\nlimits: {concurrency: 2}\n" + DEV)
    folder = tmp_path / "outputs" / "foo"
    with sandbox_process(tmp_path, "--latency", "0.3", "--scale", "1") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job)],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while len(manifest(folder)) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    shown = Shown(folder)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"gallery: {folder}/gallery/index.html"
    assert shown.states().count("stored") == len(manifest(folder))
    assert "stopped by you" in next(cell for cell in shown.cells if cell["state"] == "pending")["detail"]["message"]


def test_recover_renews_the_gallery_and_the_night_that_was_bought_is_the_one_that_is_shown(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\nseeds: {count: 2, renew: daily}\n" + DEV)
    folder = tmp_path / "outputs" / "foo"
    for night in ("2026-05-31", "2026-05-30"):
        assert cli("run", job, "--night", night, base_url=sandbox.base_url).code == 0
    latest = Shown(folder)
    (folder / "gallery" / "data" / "index.js").unlink()

    recovered = cli("recover", job, base_url=sandbox.base_url)
    after = Shown(folder)
    named = cli("gallery", job, "--night", "2026-05-31", base_url=sandbox.base_url)

    assert (recovered.code, named.code) == (0, 0), recovered.err + named.err
    for shown, now, earlier in (
        (latest, "2026-05-30", "2026-05-31"),
        (after, "2026-05-30", "2026-05-31"),
        (Shown(folder), "2026-05-31", "2026-05-30"),
    ):
        assert [(cell["night"], cell["now"], cell["state"]) for cell in shown.cells] == [
            (now, 1, "stored"),
            (now, 1, "stored"),
            (earlier, 0, "stored"),
            (earlier, 0, "stored"),
        ]
        assert list(shown.values("night")) == ["2026-05-30", "2026-05-31"]


def test_a_folder_without_a_ledger_is_shown_from_its_manifest_and_nothing_else_is_touched(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    for path in folder.iterdir():
        if path.name not in {"images", "manifest.jsonl"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    ran = cli("gallery", folder)

    shown = Shown(folder)
    assert ran.code == 0, ran.err
    lines = sorted(manifest(folder), key=lambda line: line["index"])
    assert [cell["detail"]["task"] for cell in shown.cells] == [line["task_id"] for line in lines]
    assert [cell["prompt"] for cell in shown.cells] == ["lamp", "cup", "bed"]
    assert all(cell["state"] == "stored" and cell["detail"]["file"] and cell["now"] for cell in shown.cells)
    assert sorted(path.name for path in folder.iterdir()) == ["gallery", "images", "manifest.jsonl"]


def test_a_folder_whose_saved_job_cannot_be_read_shows_all_it_holds(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    with sqlite3.connect(folder / "ledger.sqlite3") as ledger:
        ledger.execute("UPDATE jobs SET body = x'00'")
    ledger.close()

    ran = cli("gallery", folder)

    shown = Shown(folder)
    assert ran.code == 0, ran.err
    assert [(cell["state"], cell["now"]) for cell in shown.cells] == [("stored", 1)] * 3
    assert shown.index["currency"] == "CNY"


def test_a_strangers_ledger_names_no_file_outside_and_crashes_nothing(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    outside = tmp_path / "outside"
    shutil.copytree(folder / "images", outside)
    secret = next(path for path in outside.rglob("*.png"))
    (folder / "images" / "link").symlink_to(outside)
    shutil.copy(secret, folder / "images" / f"..\\..\\{secret.name}")  # one name here, a way out on other systems
    shutil.rmtree(folder / "gallery")
    size = secret.stat().st_size
    names = [
        f"../../outside/{secret.relative_to(outside)}",
        f"images/link/{secret.relative_to(outside)}",
        f"images/..\\..\\{secret.name}",
    ]
    # Each name a picture of its own, and every other thing in the ledger is not what it should be.
    with sqlite3.connect(folder / "ledger.sqlite3") as ledger:
        ids = [row[0] for row in ledger.execute("SELECT picture_id FROM pictures ORDER BY picture_id")]
        for picture, name in zip(ids, names, strict=False):
            ledger.execute(
                "UPDATE pictures SET file_name = ?, bytes = ?, source_sha256 = ? WHERE picture_id = ?",
                (name, size, f"{picture:064x}", picture),
            )
        ledger.execute("UPDATE tasks SET record = '[1, NaN]', kind = x'00ff', message = 7, label = '</script>'")
        ledger.execute("UPDATE attempts SET latency_s = 9e999, request_id = x'00', price = 'dear', sent_at = 1e300")
        ledger.execute(
            "UPDATE pictures SET flags = '{\"a\": 1}', width = 1e30, height = -4, format = 3, billed_at = 'then'"
            " WHERE picture_id > ?",
            (ids[0],),
        )
        ledger.execute("UPDATE totals SET billed = 'much', maybe = x'00', calls = 1.5")
        ledger.execute("UPDATE runs SET started_at = 1e300, ended_at = 'later'")
        ledger.execute("DELETE FROM jobs")
    ledger.close()
    accessed = secret.stat().st_atime_ns

    ran = cli("gallery", folder)

    shown = Shown(folder)
    files = [cell["detail"]["file"] for cell in shown.cells]
    assert ran.code == 0, ran.err
    assert files == [""] * 3
    assert secret.stat().st_atime_ns == accessed
    assert all(cell["thumb"] == "" for cell in shown.cells)
    assert all("missing" in cell["detail"]["message"] for cell in shown.cells)


@pytest.mark.parametrize("planted", ["gallery", "gallery/data"])
def test_a_planted_link_in_the_folder_is_refused_in_words_and_the_run_ends_as_it_would_have(
    cli: Cli, sandbox: Server, tmp_path: Path, planted: str
) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\noutput: {folder: out, name: '{id}'}\n" + DEV)
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "out" / planted
    elsewhere.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)

    ran = cli("run", job, base_url=sandbox.base_url)
    shown = cli("gallery", job, base_url=sandbox.base_url)

    assert ran.code == 0
    assert "warning: the gallery was not renewed: " in ran.err
    assert "links are not followed" in ran.err
    assert shown.code == 6
    assert list(elsewhere.iterdir()) == []


def test_marks_that_lie_in_the_folder_are_shown_and_marks_that_cannot_be_read_are_left_out_with_a_word(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    job, folder = made
    marks = {f"{manifest(folder)[0]['task_id']}-1": "keep"}
    (folder / "marks.json").write_text(json.dumps({"batchgen": "marks/1", "job": "foo", "marks": marks}))

    read = cli("gallery", job)
    shown = Shown(folder)
    (folder / "marks.json").write_text("{")
    broken = cli("gallery", job)

    assert (read.code, broken.code) == (0, 0)
    assert shown.index["marks"] == marks
    assert Shown(folder).index["marks"] == {}
    assert "the marks were left out" in broken.err


def test_open_hands_the_page_to_the_browser_and_says_so_when_there_is_none(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    job, folder = made
    page = folder / "gallery" / "index.html"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)

    def opened(**environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "batchgen", "gallery", str(job), "--open"],
            env=bare_environment(tmp_path) | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    found, none = opened(BROWSER=f"{browser} %s"), opened(PATH=str(tmp_path))

    assert (found.returncode, none.returncode) == (0, 0)
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"
    assert found.stdout == none.stdout == f"{page}\n"
    assert "no browser was found" in none.stderr


def test_nothing_made_yet_and_a_damaged_ledger_are_told_in_words(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + DEV)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "ledger.sqlite3").write_bytes(b"no database at all" * 100)

    nothing, broken, empty = cli("gallery", job), cli("gallery", damaged), cli("gallery", tmp_path)

    assert (nothing.code, broken.code, empty.code) == (2, 6, 2)
    assert "nothing was made there yet" in nothing.err
    assert "damaged" in broken.err
    assert "nothing was made there yet" in empty.err
    assert not (tmp_path / "gallery").exists()
    assert not (tmp_path / "outputs").exists()


def test_a_missing_small_picture_is_made_from_the_stored_one_and_a_changed_file_gets_none(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    job, folder = made
    shutil.rmtree(folder / "gallery")
    changed, gone, _ = (folder / line["file_name"] for line in manifest(folder))
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")
    gone.unlink()

    ran = cli("gallery", job)

    cells = {folder / (cell["detail"]["file"] or "-"): cell for cell in Shown(folder).cells}
    thumbs = sorted(str(path.relative_to(folder / "gallery" / "thumbs")) for path in folder.rglob("*.webp"))
    assert ran.code == 0, ran.err
    assert len(thumbs) == 1
    assert [cell["thumb"] for cell in cells.values() if cell["thumb"]] == thumbs
    assert cells[changed]["thumb"] == ""
    assert gone not in cells


def test_a_job_without_a_gallery_makes_none_and_the_verb_does(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\noutput: {gallery: false}\n" + DEV)
    folder = tmp_path / "outputs" / "foo"

    ran = cli("run", job, base_url=sandbox.base_url)
    before = (folder / "gallery").exists()
    asked = cli("gallery", job, base_url=sandbox.base_url)

    assert (ran.code, asked.code) == (0, 0), ran.err
    assert not before
    assert "gallery:" not in ran.err
    assert Shown(folder).states() == ["stored"]


def test_quiet_and_json_runs_make_the_gallery_without_a_word(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    quiet = write_job(tmp_path, "prompts: [a lamp]\n" + DEV, "quiet.yaml")
    as_json = write_job(tmp_path, "prompts: [a lamp]\n" + DEV, "json.yaml")

    first = cli("run", quiet, "--quiet", base_url=sandbox.base_url)
    second = cli("run", as_json, "--json", base_url=sandbox.base_url)

    assert (first.out, first.err) == ("", "")
    assert second.events[-1]["event"] == "run_ended"
    assert second.err == ""
    for name in ("quiet", "json"):
        assert Shown(tmp_path / "outputs" / name).states() == ["stored"]
