"""`batchgen prune` makes room, says first what it would delete, and lets nothing be bought again for it."""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from batchgen.clock import RealClock
from batchgen.storage.ledger import FILE_NAME, Ledger
from batchgen.storage.lock import FolderLock
from batchgen.storage.prune import chosen_pictures, note_pruned

from .conftest import Cli, Server, manifest, write_job

TEXT = "prompts: [a lamp, a cup, a fox]\nmodels: [black-forest-labs/flux.1-dev]\n"
ALL = ("--rejected", "--unexported")


@pytest.fixture
def made(cli: Cli, sandbox: Server, tmp_path: Path) -> tuple[Path, Path]:
    """A job and its folder: three pictures, of which the first is marked as rejected and the second to be kept."""
    job, folder = write_job(tmp_path, TEXT), tmp_path / "outputs" / "foo"
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    marks = dict(zip((f"{row['task_id']}-1" for row in manifest(folder)), ("reject", "keep"), strict=False))
    (folder / "marks.json").write_text(json.dumps({"batchgen": "marks/1", "marks": marks}))
    return job, folder


def files(folder: Path) -> set[str]:
    """All but what SQLite puts beside a ledger that somebody reads."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {"ledger.sqlite3-shm", "ledger.sqlite3-wal"}


def states(folder: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM pictures ORDER BY picture_id")]


def test_without_yes_it_says_what_would_go_and_with_its_last_line_that_goes(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    rejected = manifest(folder)[0]
    before = files(folder)

    said = cli("prune", folder, *ALL)

    assert said.code == 0
    assert "1 rejected picture " in said.out
    assert "1 thumbnail of no picture " in said.out
    assert files(folder) == before
    again = shlex.split(said.out.splitlines()[-1])
    assert again == ["batchgen", "prune", str(folder), *ALL, "--yes"]
    assert cli(*again[1:]).code == 0
    gone = {
        rejected["file_name"],
        f"gallery/thumbs/{rejected['source_sha256'][:2]}/{rejected['source_sha256'][:32]}.webp",
    }
    assert before - files(folder) == gone


def test_a_deleted_picture_is_missed_by_nobody_and_never_bought_again(
    cli: Cli, sandbox: Server, made: tuple[Path, Path], tmp_path: Path
) -> None:
    job, folder = made
    gone, *rest = manifest(folder)

    assert cli("prune", folder, *ALL, "--yes").code == 0

    assert manifest(folder) == rest
    verified = cli("verify", folder)
    assert (verified.code, verified.out) == (0, "2 pictures read, 2 as they should be, 0 not\n")
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    assert cli("run", job, "--retry", "lost", "--retry", "expired", base_url=sandbox.base_url).code == 0
    assert sandbox.bill()["requests"] == 3
    assert manifest(folder) == rest
    status = json.loads(cli("status", job, "--json", base_url=sandbox.base_url).out)
    assert (status["counts"]["done"], status["money"]["spent"]) == (3, "0.30")
    assert json.loads(cli("history", folder, "--json").out)["pictures"] == 2
    assert cli("gallery", job, base_url=sandbox.base_url).code == 0
    shown = "".join(path.read_text() for path in (folder / "gallery/data").glob("cells-*.js"))
    assert [shown.count(row["task_id"][:16]) for row in (gone, *rest)] == [0, 1, 1]
    for kind in ("csv", "hf", "webdataset", "sheet"):
        exported = cli("export", folder, "--format", kind, "--output", tmp_path / kind)
        assert exported.code == 0, exported.err
        assert "2 pictures" in exported.out + exported.err
    assert cli("compare", folder, folder, "--json").code == 0
    assert cli("prune", folder, *ALL).out == "nothing to delete\n"


def test_a_lost_ledger_does_not_bring_it_back(cli: Cli, sandbox: Server, made: tuple[Path, Path]) -> None:
    job, folder = made
    assert cli("prune", folder, *ALL, "--yes").code == 0
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()

    rebuilt = cli("verify", folder, "--rebuild")

    assert rebuilt.code == 0, rebuilt.err
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    assert sandbox.bill()["requests"] == 3
    assert cli("verify", folder).code == 0


def test_a_prune_that_was_cut_off_buys_nothing_again_and_is_taken_up(
    cli: Cli, sandbox: Server, made: tuple[Path, Path]
) -> None:
    job, folder = made
    rejected = manifest(folder)[0]

    async def cut_off() -> None:
        ledger = Ledger(folder / FILE_NAME)
        try:
            pictures, _ = await ledger.write(
                lambda connection: chosen_pictures(
                    connection, folder, lambda task_id, _: task_id == rejected["task_id"]
                )
            )
            await ledger.write(lambda connection: note_pruned(connection, pictures, "rejected"))
        finally:
            ledger.close()

    asyncio.run(cut_off())

    assert cli("run", job, base_url=sandbox.base_url).code == 0
    assert sandbox.bill()["requests"] == 3
    assert len(manifest(folder)) == 2
    assert cli("verify", folder).code == 0
    assert (folder / rejected["file_name"]).exists()
    assert cli("prune", folder, *ALL, "--yes").code == 0
    assert not (folder / rejected["file_name"]).exists()


def test_a_rejected_picture_without_a_copy_stays(cli: Cli, made: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = made
    rejected = folder / manifest(folder)[0]["file_name"]
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "link.png").symlink_to(rejected)
    (copies / "linked").symlink_to(rejected.parent)
    (copies / "other.png").write_bytes(bytes(rejected.stat().st_size))

    kept = cli("prune", folder, "--rejected", "--exported", copies, "--yes")

    assert kept.code == 0
    assert f"1 rejected picture without a copy in {copies}: kept" in kept.out
    assert rejected.exists()
    assert states(folder) == ["stored"] * 3
    assert cli("export", folder, "--format", "hf", "--output", tmp_path / "export").code == 0
    gone = cli("prune", folder, "--rejected", "--exported", tmp_path / "export", "--yes")
    assert "1 rejected picture " in gone.out
    assert not rejected.exists()


def test_a_second_name_of_the_file_is_a_copy_and_its_own_name_is_none(
    cli: Cli, made: tuple[Path, Path], tmp_path: Path
) -> None:
    _, folder = made
    rejected = folder / manifest(folder)[0]["file_name"]
    content = rejected.read_bytes()
    for around in (folder, folder.parent, folder / "images"):
        own = cli("prune", folder, "--rejected", "--exported", around, "--yes")
        assert own.code == 2 if around != folder / "images" else own.code in {0, 2}
        assert rejected.exists()
    (tmp_path / "export").mkdir()
    os.link(rejected, tmp_path / "export" / "a.png")

    assert cli("prune", folder, "--rejected", "--exported", tmp_path / "export", "--yes").code == 0

    assert not rejected.exists()
    assert (tmp_path / "export" / "a.png").read_bytes() == content


def test_old_logs_thumbnails_and_leftovers_go_and_what_is_not_ours_stays(cli: Cli, made: tuple[Path, Path]) -> None:
    _, folder = made
    for name in ("gallery/thumbs/ab", "parts"):
        (folder / name).mkdir(exist_ok=True)
    ours = {"runs/2020-01-01T020000Z.log", f"gallery/thumbs/ab/{'ab' * 16}.webp", "parts/7.part"}
    for name in ours | {"runs/notes.txt", "gallery/thumbs/ab/mine.webp", "parts/mine.txt", "images/mine.png"}:
        (folder / name).write_text("x")
    before = files(folder)

    done = cli("prune", folder, "--yes")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:-1]] == ["1", "1", "1"]
    assert before - files(folder) - {"ledger.sqlite3-shm", "ledger.sqlite3-wal"} == ours
    assert cli("prune", folder, "--older-than", "1d", "--yes").out == "nothing to delete\n"


def test_planted_links_lead_nowhere(cli: Cli, made: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = made
    mine = tmp_path / "mine"
    (mine / "ab").mkdir(parents=True)
    victim = folder / manifest(folder)[0]["file_name"]
    kept = [mine / "picture.png", mine / "2020-01-01T020000Z.log", mine / "7.part", mine / f"{'ab' * 16}.webp"]
    for file in (*kept[1:], mine / "ab" / f"{'ab' * 16}.webp"):
        file.write_text("x")
    victim.rename(kept[0])
    victim.symlink_to(kept[0])
    (folder / "gallery" / "thumbs" / "ab").symlink_to(mine)
    (folder / "parts").symlink_to(mine)
    before = files(mine)

    for place in ("", "gallery/thumbs", "runs", "images"):
        if place:
            shutil.rmtree(folder / place)
            (folder / place).symlink_to(mine)
        said, done = (cli("prune", folder, *ALL, *yes) for yes in ((), ("--yes",)))

        assert said.code in {0, 6}, said.err
        assert done.code == 6, done.out  # a link in the place of `parts/` is met before anything is done
        assert files(mine) == before
    assert states(folder) == ["stored"] * 3


def test_a_file_that_was_put_in_its_place_is_not_deleted(cli: Cli, made: tuple[Path, Path]) -> None:
    _, folder = made
    file = folder / manifest(folder)[0]["file_name"]
    file.write_text("something of mine")

    ran = cli("prune", folder, *ALL, "--yes")

    assert "1 rejected picture missing or changed: left as found" in ran.out
    assert file.read_text() == "something of mine"
    assert states(folder) == ["stored"] * 3


def test_while_a_run_is_going_it_says_and_does_not_do(cli: Cli, made: tuple[Path, Path]) -> None:
    _, folder = made
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts" / "7.part").write_text("on its way")
    with FolderLock(folder, RealClock()):
        said, done = cli("prune", folder, *ALL), cli("prune", folder, *ALL, "--yes")

    assert "a run is going on" in said.out
    assert "unfinished" not in said.out
    assert (said.code, done.code) == (0, 8)
    assert (folder / "parts" / "7.part").exists()
    assert states(folder) == ["stored"] * 3


def test_every_night_of_a_job_and_a_folder_of_folders(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    text = f"prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\noutput: {{folder: '{tmp_path}/nights/{{night}}'}}\n"
    job = write_job(tmp_path, text)
    logs = []
    for night in ("2026-05-01", "2026-05-02"):
        assert cli("run", job, "--night", night, "--quiet", base_url=sandbox.base_url).code == 0
        logs.append(tmp_path / "nights" / night / "runs" / "2020-01-01T020000Z.log")
        logs[-1].touch()

    said = [cli("prune", which).out for which in (job, tmp_path / "nights")]
    assert cli("prune", job, "--yes").code == 0

    assert [text.count("1 log of a run") for text in said] == [2, 2]
    assert not any(log.exists() for log in logs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rejected"], "say which: those with a copy"),
        (["--rejected", "--exported", "/", "--unexported"], "say which"),
        (["--unexported"], "add --rejected"),
        (["--exported", "/"], "add --rejected"),
        (["--marks", "marks.json"], "add --rejected"),
        (["--older-than", "soon"], "write it as --older-than 90d"),
        (["--older-than", "0d"], "write it as --older-than 90d"),
        (["--rejected", "--unexported", "--marks", "/dev/null"], "marks"),
    ],
)
def test_mistakes_are_said(cli: Cli, made: tuple[Path, Path], options: list[str], words: str) -> None:
    ran = cli("prune", made[1], *options, "--yes")

    assert ran.code == 2
    assert words in ran.err
    assert states(made[1]) == ["stored"] * 3


def test_nobody_has_rejected_anything_yet(cli: Cli, made: tuple[Path, Path]) -> None:
    (made[1] / "marks.json").unlink()

    ran = cli("prune", made[1], *ALL, "--yes")

    assert ran.code == 0
    assert "it holds no marks.json: no picture is rejected" in ran.out


def test_a_job_that_never_ran_gets_no_folder(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, TEXT)

    ran = cli("prune", job, "--yes")

    assert (ran.code, ran.out) == (0, "nothing to delete\n")
    assert not (tmp_path / "outputs").exists()
