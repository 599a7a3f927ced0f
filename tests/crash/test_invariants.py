"""The judge can tell: evidence with one thing wrong is found wrong, under the number of the promise that it breaks."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .children import ROOT, Children
from .evidence import Bill, Evidence, Further
from .harness import Providers, Shape, open_bench
from .invariants import CHECKS, contradictions
from .pictures import LARGE, draw, read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, children: Children, providers: Providers) -> Iterator[Evidence]:
    place = tmp_path_factory.mktemp("finished")
    with open_bench(place, Shape(tasks=4, keys=True), children, providers=providers) as done:
        done.finish()
        yield done.evidence()


@pytest.fixture
def clean(finished: Evidence, tmp_path: Path) -> Evidence:
    """The evidence of a job that kept every promise, with a folder that may be harmed."""
    shutil.copytree(finished.folder, tmp_path / "pictures")
    return replace(finished, folder=tmp_path / "pictures")


def broken(evidence: Evidence) -> set[str]:
    return {words.partition(":")[0] for words in contradictions(evidence)}


def picture_of(evidence: Evidence, place: int) -> Path:
    name = evidence.stored[place].file_name
    assert name
    return evidence.folder / name


def another_picture(evidence: Evidence) -> Evidence:
    shutil.copyfile(picture_of(evidence, 0), picture_of(evidence, 1))
    return evidence


def half_a_picture(evidence: Evidence) -> Evidence:
    path = picture_of(evidence, 0)
    path.write_bytes(path.read_bytes()[:100])
    return evidence


def a_second_picture(evidence: Evidence) -> Evidence:
    shutil.copyfile(picture_of(evidence, 0), evidence.folder / "images" / "more.png")
    return evidence


def an_unlisted_bill(evidence: Evidence) -> Evidence:
    return replace(evidence, bills=(*evidence.bills, Bill(99, 0, "a key of nobody")))


def an_unexplained_bill(evidence: Evidence) -> Evidence:
    first = evidence.bills[0]
    return replace(evidence, bills=(*evidence.bills, replace(first, bill=99)))


def bought_though_known(evidence: Evidence) -> Evidence:
    first = evidence.attempts[0]
    return replace(evidence, attempts=(*evidence.attempts, replace(first, attempt_id=99)))


def unknown_after_billed(evidence: Evidence) -> Evidence:
    first = evidence.attempts[0]
    return replace(evidence, attempts=(*evidence.attempts, replace(first, attempt_id=99, state="unknown")))


def fetched_though_unknown(evidence: Evidence) -> Evidence:
    first, *rest = evidence.attempts
    return replace(evidence, attempts=(replace(first, state="unknown"), *rest))


def billed_without_a_bill(evidence: Evidence) -> Evidence:
    return replace(evidence, bills=evidence.bills[1:])


def left_under_way(evidence: Evidence) -> Evidence:
    first = evidence.attempts[0]
    return replace(evidence, attempts=(replace(first, state="sending"), *evidence.attempts[1:]))


def an_unfinished_file(evidence: Evidence) -> Evidence:
    (evidence.folder / "images" / "1.part").touch()
    return evidence


def a_kept_spool(evidence: Evidence) -> Evidence:
    (evidence.folder / "spool").mkdir()
    (evidence.folder / "spool" / "1-abc.body").touch()
    return evidence


def a_torn_line(evidence: Evidence) -> Evidence:
    path = evidence.folder / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    return evidence


def a_missing_line(evidence: Evidence) -> Evidence:
    path = evidence.folder / "manifest.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    return evidence


def a_damaged_ledger(evidence: Evidence) -> Evidence:
    return replace(evidence, integrity="row 3 missing from index")


def a_busy_further_run(evidence: Evidence) -> Evidence:
    return replace(evidence, further=Further(0, 1, ()))


def a_failing_further_run(evidence: Evidence) -> Evidence:
    return replace(evidence, further=Further(9, 0, ()))


def a_key_billed_twice(evidence: Evidence) -> Evidence:
    return an_unexplained_bill(evidence)


def totals_that_forgot_a_call(evidence: Evidence) -> Evidence:
    life = evidence.totals["life"] | {"billed": 0, "images_billed": 0}
    return replace(evidence, totals=evidence.totals | {"life": life})


@pytest.mark.parametrize(
    ("promise", "harm"),
    [
        ("I1", another_picture),
        ("I1", half_a_picture),
        ("I1", a_second_picture),
        ("I2", an_unlisted_bill),
        ("I3", an_unexplained_bill),
        ("I4", an_unexplained_bill),
        ("I4", bought_though_known),
        ("I4", unknown_after_billed),
        ("I4", fetched_though_unknown),
        ("I5", billed_without_a_bill),
        ("I5", left_under_way),
        ("I6", an_unfinished_file),
        ("I6", a_kept_spool),
        ("I6", a_torn_line),
        ("I6", a_missing_line),
        ("I6", a_damaged_ledger),
        ("I7", a_busy_further_run),
        ("I7", a_failing_further_run),
        ("I8", a_key_billed_twice),
        ("totals", totals_that_forgot_a_call),
    ],
)
def test_evidence_with_one_thing_wrong_breaks_its_promise(
    clean: Evidence, promise: str, harm: Callable[[Evidence], Evidence]
) -> None:
    assert broken(clean) == set()

    assert promise in broken(harm(clean))


def test_every_promise_has_been_broken_above() -> None:
    assert set(CHECKS) == {f"I{number}" for number in range(1, 9)} | {"totals"}


@pytest.mark.parametrize("large", [False, True])
def test_a_picture_says_what_it_was_drawn_for(tmp_path: Path, large: bool) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(draw(417, 90_125, large=large))

    assert read(path) == (417, 90_125)
    assert (path.stat().st_size > 1024 * 1024) == large, f"{LARGE} pixels are too few or too many"


def test_the_provider_is_independent_of_the_product() -> None:
    script = "import sys, tests.crash.provider; sys.exit(any(name.split('.')[0] == 'batchgen' for name in sys.modules))"

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
