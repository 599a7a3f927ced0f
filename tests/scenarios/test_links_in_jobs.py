"""A job and its tables name files that a reader of their words can see: no link, no table and no folder chooses others."""

import shlex
from pathlib import Path

import pytest

from .conftest import KEY, Cli, Server, write_job

FLUX = "models: [black-forest-labs/flux.1-dev]\n"
EDIT = "models: [black-forest-labs/flux-kontext-pro]\n"
PHOTO = Path(__file__).parents[2] / "jobs" / "products" / "chair.jpg"


@pytest.mark.parametrize("target", ["../secrets.txt", ".env", "/proc/self/environ", "here/.netrc"])
def test_a_prompt_file_that_is_a_link_to_something_else_is_refused_by_its_real_name(
    cli: Cli, sandbox: Server, tmp_path: Path, target: str
) -> None:
    job = write_job(tmp_path, "prompts: [{file: p.txt, encoding: utf-16-le, literal: true}]\n" + FLUX)
    (job.parent / "here").mkdir()
    for name in (tmp_path / "secrets.txt", job.parent / ".env", job.parent / "here" / ".netrc"):
        name.write_text("LOGIN=hunter2x\n")
        name.chmod(0o600)
    (job.parent / "p.txt").symlink_to(target)

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 2
    assert "is a link to" in ran.err
    assert sandbox.bill()["entries"] == []
    assert not (tmp_path / "outputs").exists()


def test_links_within_the_folder_and_paths_that_are_written_out_are_followed(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(tmp_path, f"prompts: [{{file: a.txt}}, {{file: ../b.txt}}, {{file: '{tmp_path}/c.txt'}}]\n" + FLUX)
    (tmp_path / "b.txt").write_text("a cup\n")
    (tmp_path / "real.txt").write_text("a chair\n")
    (tmp_path / "c.txt").symlink_to(tmp_path / "real.txt")
    (job.parent / "prompts").mkdir()
    (job.parent / "prompts" / "a.txt").write_text("a lamp\n")
    (job.parent / "a.txt").symlink_to("prompts/a.txt")

    assert cli("run", job, base_url=sandbox.base_url).code == 0
    assert len(sandbox.bill()["entries"]) == 3


@pytest.mark.parametrize("text", ["the key is {key}", "{key}"])
def test_a_prompt_that_holds_the_key_is_not_sent_and_not_written_down(
    cli: Cli, sandbox: Server, tmp_path: Path, text: str
) -> None:
    job = write_job(tmp_path, "prompts: [{file: p.txt}]\n" + FLUX)
    (job.parent / "p.txt").write_text(f"a lamp\n{text.format(key=KEY)}\n")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 2
    assert "p.txt:2: the key in MODELVERSE_API_KEY stands here" in ran.err
    assert KEY not in ran.out + ran.err
    assert sandbox.bill()["entries"] == []
    assert not (tmp_path / "outputs").exists()


def test_a_table_does_not_choose_a_picture_by_a_link_that_hides_it(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    private = tmp_path / "private" / "photo.jpg"
    private.parent.mkdir()
    private.write_bytes(PHOTO.read_bytes())
    job = write_job(tmp_path, "prompts: [{file: t.csv}]\n" + EDIT)
    (job.parent / "link.jpg").symlink_to(private)
    (job.parent / "t.csv").write_text("prompt,image\nmake it night,link.jpg\n")

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 2
    assert "t.csv:2: the picture link.jpg is a link to" in ran.err
    assert sandbox.bill()["entries"] == []


def test_a_folder_that_the_job_names_is_the_users_own_word(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "chair.jpg").write_bytes(PHOTO.read_bytes())
    job = write_job(
        tmp_path,
        "prompts: [{file: t.csv, prompt: make it night, params: {image: '"
        + str(tmp_path)
        + "/photos/{photo}'}}]\n"
        + EDIT,
    )
    (job.parent / "t.csv").write_text("photo\nchair.jpg\n")

    assert cli("run", job, base_url=sandbox.base_url).code == 0


def test_what_is_advised_to_be_typed_is_safe_to_be_typed(cli: Cli, tmp_path: Path) -> None:
    place = tmp_path / "a;touch PWNED"
    place.mkdir()
    job = write_job(place, "prompts: [a lamp]\n" + FLUX)

    told = cli("status", job)
    refused = cli(
        "validate",
        write_job(
            tmp_path, "provider: {name: modelverse, base_url: 'https://h.example/v1;touch$IFS'}\nprompts: [a]\n" + FLUX
        ),
    )

    assert f"`batchgen run {shlex.quote(str(job))}`" in told.out
    assert refused.code == 2
    assert "is not an address" in refused.err


def test_an_output_folder_is_no_place_for_a_key(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + FLUX)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"
    (folder / ".env").write_text("MODELVERSE_API_KEY=sk-of-a-stranger\n")
    (folder / ".env").chmod(0o600)

    ran = cli("run", folder, base_url=sandbox.base_url, key="")

    assert ran.code == 7
    assert ".env" not in ran.err.split("next:")[0]


def test_a_huge_file_of_variables_is_not_read(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: [a lamp]\n" + FLUX)
    with (job.parent / ".env").open("wb") as file:
        file.truncate(1 << 30)

    ran = cli("validate", job)

    assert ran.code == 2
    assert "too large for a file of variables" in ran.err
