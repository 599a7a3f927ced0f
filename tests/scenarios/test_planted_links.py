"""Somebody else can write into the output folder: what they plant there leads nowhere, and is named or walked around."""

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import KEY, Cli, Server, bare_environment, manifest, write_job
from .test_bad_disks import in_the_middle

PHOTO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JOB = "prompts: [lamp, chair]\nmodels: [black-forest-labs/flux.1-dev]\noutput: {name: 'lamps/{prompt_id}'}\n"


@dataclass(frozen=True)
class Canary:
    """A file and a folder outside of the output folder, and how they were."""

    file: Path
    folder: Path

    def now(self) -> tuple[object, ...]:
        facts = [os.lstat(path) for path in (self.file, self.folder, self.folder.parent)]
        return (
            self.file.read_bytes(),
            sorted(path.name for path in self.folder.iterdir()),
            sorted(path.name for path in self.folder.parent.iterdir()),
            [(fact.st_mode, fact.st_mtime_ns, fact.st_ino) for fact in facts],
        )


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """Whatever a test does, the canary is afterwards what it was before."""
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_bytes(b"mine\n")
    (outside / "file").chmod(0o644)
    planted = Canary(outside / "file", outside / "folder")
    before = planted.now()
    yield planted
    assert planted.now() == before


def plant(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


IN_PLACE = (
    ".batchgen.lock",
    "ledger.sqlite3",
    "ledger.sqlite3-wal",
    "ledger.sqlite3-shm",
    "ledger.sqlite3-journal",
    "manifest.jsonl",
)
FOLDERS = ("parts", "images", "spool", "inputs", "unusable")


def test_a_link_in_place_of_what_a_run_changes_is_named_before_anything_is_bought(
    tmp_path: Path, cli: Cli, sandbox: Server, canary: Canary
) -> None:
    job = write_job(tmp_path, JOB)
    for name in (*IN_PLACE, *FOLDERS):
        place = tmp_path / "outputs/foo" / name
        plant(place, canary.folder if name in FOLDERS else canary.file)

        ran = cli("run", job, "--quiet", base_url=sandbox.base_url)

        assert ran.code == 6, (name, ran.err)
        assert f"outputs/foo/{name}: " in ran.err
        assert "links are not followed here" in ran.err
        assert place.is_symlink()
        place.unlink()
    assert sandbox.bill()["requests"] == 0


def test_nothing_is_made_where_a_link_to_nowhere_points(
    tmp_path: Path, cli: Cli, sandbox: Server, canary: Canary
) -> None:
    job = write_job(tmp_path, JOB)
    for name in (".batchgen.lock", "ledger.sqlite3", "manifest.jsonl"):
        place = tmp_path / "outputs/foo" / name
        plant(place, canary.folder / "new")

        assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 6, name
        assert cli("status", place.parent).code in {0, 2, 6}

        place.unlink()


def test_a_link_in_place_of_a_folder_of_pictures_is_named_and_what_was_bought_waits(
    tmp_path: Path, cli: Cli, sandbox: Server, canary: Canary
) -> None:
    job = write_job(tmp_path, JOB)
    place = tmp_path / "outputs/foo/images/lamps"
    plant(place, canary.folder)

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 6, ran.err
    assert "outputs/foo/images/lamps" in ran.err
    assert "links are not followed here" in ran.err
    place.unlink()
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    assert sandbox.bill()["requests"] == 2
    assert len(manifest(tmp_path / "outputs/foo")) == 2


def test_what_stands_under_the_name_of_a_picture_or_a_report_is_walked_around(
    tmp_path: Path, cli: Cli, sandbox: Server, canary: Canary
) -> None:
    job = write_job(
        tmp_path,
        "prompts: [{id: link, prompt: a}, {id: pipe, prompt: b}, {id: folder, prompt: c}, {id: twin, prompt: d}]\n"
        "models: [black-forest-labs/flux.1-dev]\noutput: {name: '{prompt_id}'}\n",
    )
    folder = tmp_path / "outputs/foo"
    for place in ("images/link.png", "parts/1.part", "report.json", "failures.jsonl", "spool/1.body", "parts/x.part"):
        plant(folder / place, canary.file)
    for place in ("images/pipe.png", "parts/2.part"):
        os.mkfifo(folder / place)
    (folder / "images/folder.png").mkdir()
    twin = tmp_path / "twin"
    twin.write_bytes(b"mine")
    os.link(twin, folder / "images/twin.png")
    os.link(twin, folder / "parts/3.part")

    ran = cli("run", job, "--quiet", base_url=sandbox.base_url)

    assert ran.code == 0, ran.err
    names = [row["file_name"] for row in manifest(folder)]
    assert len(names) == 4
    for name in names:
        facts = os.lstat(folder / name)
        assert (stat.S_ISREG(facts.st_mode), facts.st_nlink) == (True, 1)
        assert name.rpartition(".")[0][-9] == "-", "the planted name was taken, so the task's id is in this one"
    assert (folder / "images/link.png").readlink() == canary.file
    assert not (folder / "report.json").is_symlink()
    assert not (folder / "failures.jsonl").is_symlink()
    assert (twin.read_bytes(), twin.stat().st_nlink) == (b"mine", 2)


def test_links_planted_in_the_middle_of_a_run_lead_nowhere(
    tmp_path: Path, cli: Cli, slow_sandbox: Server, canary: Canary
) -> None:
    prompts = ", ".join(f"lamp {number}" for number in range(12))
    job = write_job(
        tmp_path,
        f"prompts: [{prompts}]\nmodels: [black-forest-labs/flux.1-dev]\nlimits: {{concurrency: 2}}\n"
        "output: {name: '{index}/a'}\n",
    )
    folder = tmp_path / "outputs/foo"
    run = in_the_middle(job, folder, tmp_path, slow_sandbox)
    (folder / "images").rename(folder / "images.kept")
    plant(folder / "images", canary.folder)
    for name in ("report.json", "failures.jsonl"):
        (folder / name).unlink(missing_ok=True)
        plant(folder / name, canary.file)
    _, err = run.communicate(timeout=60)

    assert run.returncode == 6, err
    assert "outputs/foo/images" in err
    (folder / "images").unlink()
    (folder / "images.kept").rename(folder / "images")
    assert cli("run", job, "--quiet", base_url=slow_sandbox.base_url).code == 0
    assert len(manifest(folder)) == 12
    assert slow_sandbox.bill()["requests"] == 12


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_all_that_a_run_makes_is_for_its_user_alone_whatever_the_umask(
    tmp_path: Path, sandbox: Server, umask: int
) -> None:
    (tmp_path / "photo.png").write_bytes(PHOTO)
    job = write_job(
        tmp_path,
        "prompts:\n  - {prompt: a, params: {image: ../photo.png}, model: '*kontext-pro'}\n"
        "  - {prompt: b, params: {response_format: b64_json}, model: '*dev'}\n"
        "  - {prompt: 'c [[fault:empty-object]]', model: '*dev'}\n"
        "models: [black-forest-labs/flux-kontext-pro, black-forest-labs/flux.1-dev]\n",
    )
    folder = tmp_path / "outputs/foo"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    command = [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"]
    environment = bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=sandbox.base_url)

    done = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr

    made = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert {"images", "inputs", "unusable", "ledger.sqlite3", "manifest.jsonl", "report.json", ".batchgen.lock"} <= set(
        made
    )
    assert {name: mode for name, mode in made.items() if mode != (0o700 if (folder / name).is_dir() else 0o600)} == {}
    assert folder.stat().st_mode & 0o777 == 0o755, "the user's own folder stays as it was"
