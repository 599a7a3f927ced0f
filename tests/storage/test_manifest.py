import dataclasses
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import StorageError
from batchgen.storage.files import ResultFolder
from batchgen.storage.manifest import FailureRow, ManifestRow, ManifestWriter, read_manifest, write_failures

COLUMNS = [
    "file_name",
    "task_id",
    "prompt_id",
    "row",
    "prompt",
    "negative_prompt",
    "vars",
    "provider",
    "model",
    "label",
    "seed",
    "try",
    "index",
    "night",
    "params",
    "width",
    "height",
    "format",
    "bytes",
    "sha256",
    "source_sha256",
    "flags",
    "cost",
    "currency",
    "request_id",
    "created_at",
    "latency_s",
    "attempts",
    "maybe_billed",
    "job",
    "run_id",
    "version",
    "picture",
]
FAILURE_COLUMNS = [*COLUMNS[:15], *["state", "class", "message", "request_id", "attempts", "maybe_billed", "cost"]]

HOSTILE = 'a "neon"\\ city\r\n\u2028\u2029\u0085\x1b[31m\x9b \U0001f303 \ud800 {style} 16:9 [/b] é 霓虹'


def row(number: int = 1, **changes: Any) -> ManifestRow:
    content = ManifestRow(
        file_name=f"images/harbour/flux-{number}.png",
        task_id=f"{number:064x}",
        prompt_id="harbour.dusk.ink",
        row="harbour",
        prompt="a harbour at dusk",
        negative_prompt="",
        vars='{"time":"dusk"}',
        provider="modelverse",
        model="black-forest-labs/flux.1-dev",
        label="flux.1-dev",
        seed=7,
        try_number=1,
        index=number,
        night="",
        params='{"steps":28}',
        width=512,
        height=512,
        format="png",
        bytes=65_000,
        sha256="0" * 64,
        source_sha256="0" * 64,
        flags="[]",
        cost="0.0500",
        currency="CNY",
        request_id="req-1",
        created_at="2025-11-03T22:14:05.000Z",
        latency_s=5.0,
        attempts=1,
        maybe_billed=0,
        job="neon-city",
        run_id="20251103-221400",
        version="0.1.0",
        picture=1,
    )
    return dataclasses.replace(content, **changes)


def failure(**changes: Any) -> FailureRow:
    shared = {field.name: getattr(row(), field.name) for field in dataclasses.fields(ManifestRow)[:15]}
    shared |= {"file_name": "", "state": "failed", "kind": "content_policy", "message": "refused\nby the filter"}
    return FailureRow(**(shared | {"request_id": "r", "attempts": 1, "maybe_billed": 0, "cost": ""} | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "manifest.jsonl"


def test_the_columns_and_their_order_are_fixed() -> None:
    assert list(json.loads(row().to_line())) == COLUMNS
    assert list(json.loads(failure().to_line())) == FAILURE_COLUMNS


def test_every_value_keeps_its_type_in_every_row() -> None:
    plain = json.loads(row(latency_s=5).to_line())
    other = json.loads(row(latency_s=0.25, cost="", flags='["blank"]', vars="{}", night="2025-11-03").to_line())

    assert [type(value) for value in plain.values()] == [type(value) for value in other.values()]
    assert {type(value) for value in plain.values()} == {str, int, float}
    assert '"latency_s":5.0' in row(latency_s=5).to_line()


def test_a_row_is_one_line_whatever_the_prompt_holds() -> None:
    line = row(prompt=HOSTILE).to_line()

    assert len(line.splitlines()) == 1
    assert line.encode().endswith(b"}\n")
    assert "\x1b" not in line
    assert "\x9b" not in line
    assert "é 霓虹" in line
    assert ManifestRow.from_line(line) == row(prompt=HOSTILE)
    assert FailureRow.from_line(failure(message=HOSTILE).to_line()) == failure(message=HOSTILE)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        '{"file_name": "a',
        row().to_line().replace('"seed":7', '"seed":"7"'),
        row().to_line().replace('"seed":7', '"seed":true'),
        row().to_line().replace('"seed":7', '"seed":null'),
    ],
)
def test_a_line_that_is_no_row_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        ManifestRow.from_line(line)


def test_columns_of_a_later_version_are_passed_over() -> None:
    assert ManifestRow.from_line(row().to_line().replace('"seed":7', '"seed":7,"mood":"fine"')) == row()


def test_rows_are_appended_and_counted(path: Path) -> None:
    with ResultFolder(path.parent) as folder, ManifestWriter(folder) as manifest:
        assert manifest.is_whole(0)
        manifest.append([row(1), row(2)])
        manifest.append([])
        manifest.append([row(3)])
        manifest.sync()

        assert manifest.is_whole(3)
        assert not manifest.is_whole(2)
        assert not manifest.is_whole(4)
    assert list(read_manifest(path)) == [row(1), row(2), row(3)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next_run(path: Path) -> None:
    path.parent.mkdir()
    line = row(2).to_line()
    for torn in (line[:-1], line[:40], line[:-1] + "," * 3_000_000):
        path.write_text(row(1).to_line() + torn)

        assert list(read_manifest(path)) == [row(1)]
        with ResultFolder(path.parent) as folder, ManifestWriter(folder) as manifest:
            assert manifest.is_whole(1)
            manifest.append([row(3)])
        assert list(read_manifest(path)) == [row(1), row(3)]


def test_a_broken_line_in_the_middle_is_an_error_with_its_place(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(row(1).to_line() + "{}\n" + row(2).to_line())

    with pytest.raises(StorageError, match=r"manifest\.jsonl:2: not a line of a manifest"):
        list(read_manifest(path))


def test_a_manifest_that_is_not_there_has_no_rows(path: Path) -> None:
    assert list(read_manifest(path)) == []


def test_a_rebuilt_manifest_replaces_the_old_one_and_goes_on_growing(path: Path) -> None:
    with ResultFolder(path.parent) as folder, ManifestWriter(folder) as manifest:
        manifest.append([row(9)])
        with path.open("rb") as reader:
            manifest.rebuild(row(number) for number in range(2000))
            assert reader.read().decode() == row(9).to_line()
        manifest.append([row(2000)])

        assert manifest.is_whole(2001)
    assert [found.index for found in read_manifest(path)] == list(range(2001))
    assert [found.name for found in path.parent.iterdir()] == ["manifest.jsonl"]


def test_a_rebuild_that_fails_leaves_the_old_manifest(path: Path) -> None:
    with ResultFolder(path.parent) as folder, ManifestWriter(folder) as manifest:
        manifest.append([row(1)])
        with pytest.raises(ZeroDivisionError):
            manifest.rebuild(row(1 // number) for number in (1, 0))

        assert list(read_manifest(path)) == [row(1)]


def test_an_append_that_does_not_fit_leaves_no_half_line(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ResultFolder(path.parent) as folder, ManifestWriter(folder) as manifest:
        manifest.append([row(1)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, before[1]))
        try:
            with pytest.raises(StorageError, match=r"manifest\.jsonl"):
                manifest.append([row(number) for number in range(10)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

        assert path.read_text() == row(1).to_line()


def test_a_manifest_that_is_a_planted_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(precious)

    with ResultFolder(path.parent) as folder, pytest.raises(StorageError, match="links are not followed"):
        ManifestWriter(folder)
    assert precious.read_text() == "mine"


def test_failures_are_replaced_at_the_end_of_each_run(path: Path) -> None:
    file = path.with_name("failures.jsonl")
    with ResultFolder(path.parent) as folder:
        write_failures(folder, [failure(), failure(state="unknown")])
        assert [FailureRow.from_line(line).state for line in file.read_text().splitlines()] == ["failed", "unknown"]

        write_failures(folder, [])
    assert file.read_bytes() == b""
    assert list(path.parent.iterdir()) == [file]
