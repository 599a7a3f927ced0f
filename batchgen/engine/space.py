"""Room for what is bought: how much the pictures to come will need, and when buying has to stop for want of it.

It refuses to delete anything and to stop downloads: a paid picture may still fit where a new one should not be bought.
"""

from batchgen.engine.context import RunContext
from batchgen.errors import StorageError
from batchgen.storage.queries import mean_picture_bytes

FLOOR_BYTES = 1024**3
"""Below this much free space nothing new is bought."""
USUAL_PICTURE_BYTES = 2 * 1024**2
"""A 1024 x 1024 PNG, about: what a picture is taken for in a folder that has none yet."""
_LOOK_EVERY_S = 1.0


class Space:
    """The disk of one output folder, as the buying sees it."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._looked_at: float | None = None
        self._trouble = ""

    async def trouble(self) -> str:
        """Why nothing more should be bought, in the user's words; empty while all is well. Looks once a second at most."""
        now = self._run.clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._trouble = await self._look()
        return self._trouble

    async def _look(self) -> str:
        run = self._run
        try:
            free = await run.on_disk(run.folder.free_bytes)
        except StorageError as error:
            return error.message
        if free >= FLOOR_BYTES:
            return ""
        return (
            f"only {in_words(free)} are free on the disk of {run.folder.path}; below {in_words(FLOOR_BYTES)} nothing is"
            " bought: make room and run again"
        )

    async def warn_if_short(self, pictures_to_come: int) -> None:
        """Warn before the first call when the pictures to come will not fit, by the mean size of those in the folder."""
        run = self._run
        if not pictures_to_come:
            return
        mean = await run.ledger.write(mean_picture_bytes)
        need = pictures_to_come * (mean or USUAL_PICTURE_BYTES)
        free = await run.on_disk(run.folder.free_bytes)
        if need + FLOOR_BYTES <= free:
            return
        each = f"{in_words(mean)} each so far" if mean else f"taken for {in_words(USUAL_PICTURE_BYTES)} each"
        run.warn(
            f"{pictures_to_come} pictures need about {in_words(need)} ({each}), and {in_words(free)} are free on the disk of"
            f" {run.folder.path}: the run will stop buying below {in_words(FLOOR_BYTES)}"
        )


def in_words(size: float) -> str:
    """A number of bytes for people: `1.0 GiB`, `730 MiB`."""
    for unit, length in (("TiB", 1024**4), ("GiB", 1024**3)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size / 1024**2:.0f} MiB" if size >= 1024**2 else f"{size / 1024:.0f} KiB"
