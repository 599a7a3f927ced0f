"""One fork server for all kill tests of a process, and the count of what they did."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .children import Children
from .harness import Bench, Providers, Shape, open_bench
from .tally import Tally


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    with Children() as children:
        yield children


@pytest.fixture(scope="session")
def providers() -> Iterator[Providers]:
    with Providers() as providers:
        yield providers


@pytest.fixture
def bench(
    tmp_path: Path, children: Children, providers: Providers, request: pytest.FixtureRequest
) -> Iterator[Callable[[Shape], Bench]]:
    """Makes benches; what was killed and billed on them is counted when the test ends."""
    opened: list[Bench] = []
    with ExitStack() as stack:

        def make(shape: Shape) -> Bench:
            made = stack.enter_context(open_bench(tmp_path / str(len(opened)), shape, children, providers=providers))
            opened.append(made)
            return made

        yield make
        for each in opened:
            request.node.user_properties.append(Tally.of(each).as_property())
