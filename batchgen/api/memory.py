"""How many bytes of large answers are in this process at once.

One answer may be large, since pictures may come inside it; sixty-four of them at once would fill a small machine. It
refuses to read anything itself: whoever is about to hold much asks here first and waits its turn.
"""

import asyncio
from collections import deque

ANSWERS_AT_MOST = 64 * 1024 * 1024
"""Bytes of large answers at once, about three times of which are in use while they are read and taken apart."""


class Memory:
    """A number of bytes that is lent out, first come, first served."""

    def __init__(self, total: int = ANSWERS_AT_MOST) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait until `size` bytes are free; more than there are is all of them. What was lent, for `give_back`."""
        size = min(size, self._total)
        if self._waiting or size > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(size)
                self._serve()
                raise
        else:
            self._free -= size
        return size

    def give_back(self, size: int) -> None:
        """`size` bytes are not held any more."""
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()
