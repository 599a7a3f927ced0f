"""What stands open while a run lasts: the locked folder with its ledger, and the provider; and what must be right before.

It refuses to choose a display, to read the environment and to touch signals.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from batchgen.clock import RealClock
from batchgen.engine.run import RunOptions
from batchgen.errors import BatchgenError, BudgetError, UsageError
from batchgen.spec.job import Job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import FILE_NAME, Ledger, refuse_orphans
from batchgen.storage.lock import FolderLock


@contextmanager
def open_folder(path: Path, *, thumbnails: bool = False) -> Iterator[tuple[ResultFolder, Ledger]]:
    """The output folder, locked, with its ledger. Raises LockedError, StorageError."""
    with ExitStack() as stack:
        stack.enter_context(FolderLock(path, RealClock()))
        folder = stack.enter_context(ResultFolder(path, thumbnails=thumbnails))
        refuse_orphans(path)
        ledger = Ledger(path / FILE_NAME)
        stack.callback(ledger.close)
        yield folder, ledger


@asynccontextmanager
async def provider_of(job: Job, options: RunOptions) -> AsyncIterator[RunOptions]:
    """The options with the provider's address; the embedded sandbox lives as long as the run."""
    if not job.provider.embedded:
        yield options
        return
    from batchgen.sandbox.options import SandboxOptions  # heavy, and few runs need it
    from batchgen.sandbox.server import start_sandbox

    # A port that stays the same for a folder, and links without host and port: a picture that waits is found again.
    wanted = 20_000 + zlib.crc32(str(job.output.folder.resolve()).encode()) % 20_000
    spoken = SandboxOptions(profile=job.provider.profile, absolute_links=False)  # type: ignore[arg-type]
    try:
        sandbox = await start_sandbox(replace(spoken, port=wanted))
    except UsageError:  # something else listens there
        sandbox = await start_sandbox(spoken)
    try:
        yield replace(options, base_url=sandbox.base_url)
    finally:
        await sandbox.stop()


def check_runnable(job: Job, max_cost: Decimal | None) -> None:
    """Raise what can be known before a lock is taken. So far: an unknown price under a cost budget."""
    bounded = max_cost is not None or any(budget.cost is not None for budget in job.budgets)
    unknown = [use.label for use in job.models if use.model.price is None]
    if bounded and unknown:
        raise _unknown_price(unknown)


def _unknown_price(labels: list[str]) -> BatchgenError:
    return BudgetError(
        f"the price of {', '.join(labels)} is unknown, so a cost budget cannot be kept",
        "bound the job with `budget: {images: N}` instead, or take the model out",
    )
