"""How much memory the pictures that are looked at may take together.

Four threads look at pictures, and one picture may decode to a quarter of a gigabyte: each says beforehand what it
needs, and waits until there is that much left. Who came first goes first, so that a large picture is not overtaken for
ever by small ones. This module refuses to measure anything: the amounts are what the askers say.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """A number of bytes, `size`, shared by threads. Never take twice at once in one thread: two could wait for each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self.line: deque[object] = deque()
        """Those who wait, the next one first."""
        self._changed = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold `amount` bytes of the room during the block, or all of it if it is smaller; waits for its turn."""
        amount = min(amount, self.size)
        with self._changed:
            place = object()
            self.line.append(place)
            try:
                self._changed.wait_for(lambda: self.line[0] is place and amount <= self._free)
                self._free -= amount
            finally:
                self.line.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()
