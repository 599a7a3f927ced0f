"""A product with one promise taken out is caught: the proofs of the crash tests can fail."""

from pathlib import Path

import pytest

from .children import Children
from .harness import Bench, Providers, Shape, open_bench
from .invariants import every_bill_has_its_row
from .mutants import MUTANTS, Edit, Mutant, product_with
from .order import Proof
from .syscalls import why_not
from .tally import LEFT_OUT
from .trace import tracer


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_order_of_system_calls_is_caught(
    name: str, tmp_path: Path, providers: Providers, request: pytest.FixtureRequest
) -> None:
    if reason := why_not():
        request.node.user_properties.append((LEFT_OUT, reason))
        pytest.skip(f"NOT RUN: no mutant of the order of system calls was tried: {reason}")
    shape = Shape(tasks=4, concurrency=2, answers=MUTANTS[name].answers)
    product = product_with(name, tmp_path)

    with Children(product) as children, open_bench(tmp_path / "bench", shape, children, product, providers) as bench:
        log = tmp_path / "calls.txt"
        end = bench.run(tracer=tracer(log))
        complaints = Proof(bench.place, bench.output).replay(log).complaints

    assert end.exit_code == 0, end.output
    assert [words for words in complaints if words.startswith(MUTANTS[name].caught_by)], complaints


def test_a_kill_shows_an_intent_that_is_written_after_the_call(
    tmp_path: Path, children: Children, providers: Providers
) -> None:
    def unknown_bills(bench: Bench) -> list[str]:
        bench.die_at("answer read", 16)
        return list(every_bill_has_its_row(bench.evidence(further=False)))

    product = product_with("intent after the call", tmp_path)
    with open_bench(tmp_path / "whole", Shape(), children, providers=providers) as whole:
        assert unknown_bills(whole) == []

    with Children(product) as mutants, open_bench(tmp_path / "bench", Shape(), mutants, product, providers) as mutant:
        assert unknown_bills(mutant)


def test_a_mutant_that_no_longer_fits_the_product_is_said_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MUTANTS, "gone", Mutant((Edit("storage/ledger.py", "no such text", ""),), ""))

    with pytest.raises(LookupError, match="does not hold this text once: no such text"):
        product_with("gone", tmp_path)
