"""A run dies, or is refused, at single system calls of the storage path; what is left keeps every promise."""

from collections.abc import Callable

import pytest

from .harness import Bench, Shape
from .syscalls import die_at_call, run_with, why_not
from .tally import LEFT_OUT

Make = Callable[[Shape], Bench]


@pytest.fixture(autouse=True)
def strace_or_skip(request: pytest.FixtureRequest) -> None:
    if reason := why_not():
        request.node.user_properties.append((LEFT_OUT, reason))
        pytest.skip(f"no kills at system calls: {reason}")


@pytest.mark.parametrize(
    ("call", "number", "answers"),
    [
        ("fdatasync", 3, "url"),
        ("fdatasync", 25, "url"),
        ("pwrite64", 40, "url"),
        ("pwrite64", 500, "base64"),
        ("fsync", 3, "url"),
        ("fsync", 12, "base64"),
        ("linkat", 5, "url"),
        ("renameat", 4, "base64"),
        ("unlinkat", 10, "base64"),
        ("write", 6, "url"),
    ],
)
def test_a_kill_at_a_system_call_breaks_no_promise(bench: Make, call: str, number: int, answers: str) -> None:
    killed = bench(Shape(answers=answers))

    die_at_call(killed, call, number)
    killed.finish()

    assert killed.contradictions() == []


@pytest.mark.parametrize(
    ("inject", "answers", "folder"),
    [
        ("fsync:error=EIO:when=12", "url", ""),
        ("write:error=ENOSPC:when=6", "url", ""),
        ("linkat:error=EDQUOT:when=6", "url", ""),
        ("renameat:error=ENOSPC:when=3", "base64", ""),
        ("openat:error=EMFILE:when=6", "url", "parts"),
        ("openat:error=EROFS:when=6", "url", "parts"),
        ("pwrite64:error=ENOSPC:when=400", "url", ""),
    ],
)
def test_a_disk_that_refuses_one_call_breaks_no_promise(bench: Make, inject: str, answers: str, folder: str) -> None:
    refused = bench(Shape(answers=answers))
    path = refused.output / folder if folder else None

    end = run_with(refused, inject, path=path)
    refused.disturbed += 1
    refused.finish()

    assert end.exit_code in {0, 6}, end.output
    assert refused.contradictions() == []


def test_a_paid_answer_that_the_disk_refuses_once_is_kept_at_the_second_try(bench: Make) -> None:
    refused = bench(Shape(answers="base64"))

    end = run_with(refused, "renameat:error=ENOSPC:when=3")
    refused.disturbed += 1
    refused.finish()

    assert end.exit_code in {0, 6}, end.output
    assert not refused.bought_again
    assert refused.contradictions() == []
