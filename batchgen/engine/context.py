"""What every task of one run shares: the open things, the settled numbers, and the one way to tell news.

A value built once by `run.py`; it decides nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from batchgen.api.call import Caller
from batchgen.api.dialects import Item, kept_answer
from batchgen.api.memory import Memory
from batchgen.clock import Clock
from batchgen.engine.endpoint import Stop
from batchgen.engine.inputs import REQUESTS_AT_MOST, Inputs
from batchgen.engine.scopes import calendar_scopes
from batchgen.errors import Exit, StorageError
from batchgen.events import Event, Listener, Notice, PictureGone
from batchgen.outside import clean
from batchgen.secret import NO_SECRET, Secret, without_signatures
from batchgen.spec.job import Job
from batchgen.storage.files import ResultFolder
from batchgen.storage.ledger import Ledger, Operation
from batchgen.storage.purchases import MILLION, Cap

if TYPE_CHECKING:
    from batchgen.engine.downloads import Downloads
    from batchgen.engine.space import Space

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_TIMEOUT_S = 300.0
_TEXT_AT_MOST = 500
_UNUSABLE_AT_MOST = 1024 * 1024
_WRITE_TRIES = 60
_LATENCIES_KEPT = 100

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class RunContext:
    """One run's shared values; see the module."""

    job: Job
    run_id: str
    clock: Clock
    ledger: Ledger
    folder: ResultFolder
    disk: Executor
    inputs: Inputs
    listeners: list[Listener]
    max_cost: Decimal | None = None
    rebuy: frozenset[str] = frozenset()
    secret: Secret = NO_SECRET
    memory: Memory = field(default_factory=Memory)
    """For large answers."""
    requests: Memory = field(default_factory=lambda: Memory(REQUESTS_AT_MOST))
    """For requests with input pictures."""
    deadline: float | None = None
    """When no call may leave any more, in monotonic seconds."""
    calls_in_flight: int = 0
    latencies: dict[str, "deque[float]"] = field(default_factory=dict)
    """How long the latest paid calls of each model took, in seconds, by label."""
    _space: "Space | None" = None
    _caller: Caller | None = None
    _downloads: "Downloads | None" = None

    @property
    def caller(self) -> Caller:
        """The session for paid calls; `recover` has none."""
        assert self._caller is not None, "this run may not buy"
        return self._caller

    @property
    def downloads(self) -> "Downloads":
        """The stage that paid pictures go to."""
        assert self._downloads is not None
        return self._downloads

    @property
    def space(self) -> "Space":
        """The disk of the output folder, as the buying sees it."""
        assert self._space is not None
        return self._space

    @space.setter
    def space(self, space: "Space") -> None:
        self._space = space

    def note_latency(self, label: str, latency_s: float) -> None:
        """A paid call of the model took that long."""
        self.latencies.setdefault(label, deque(maxlen=_LATENCIES_KEPT)).append(latency_s)

    def too_late_for(self, label: str) -> bool:
        """Whether a call of the model that leaves now is unlikely to end before the deadline.

        It is taken to last as long as 19 of 20 did lately.
        """
        if self.deadline is None:
            return False
        known = sorted(self.latencies.get(label, ()))
        expected_s = known[min(len(known) - 1, int(0.95 * len(known)))] if known else 0.0
        return self.clock.monotonic() + expected_s >= self.deadline

    def deadline_stop(self) -> Stop:
        """What ends the buying at the deadline."""
        return Stop("the deadline is reached", Exit.UNAVAILABLE)

    def connect(self, *, caller: Caller | None, downloads: "Downloads") -> None:
        """Hand over what is open only while the run goes on."""
        self._caller = caller
        self._downloads = downloads

    @property
    def currency(self) -> str:
        """The provider's currency."""
        return self.job.provider.currency

    @property
    def timeout_s(self) -> float:
        """How long a paid call may take where its model says nothing else."""
        return self.job.limits.timeout_s or DEFAULT_TIMEOUT_S

    @property
    def retry_unknown(self) -> bool:
        """Whether a call of unknown outcome may be made once more without asking."""
        return self.job.on_unknown == "retry"

    @property
    def to_buy(self) -> frozenset[str]:
        """The states of tasks that this run buys; `held` are unknown outcomes that were tried again already."""
        states = {"pending", *self.rebuy}
        if self.retry_unknown:
            states.add("unknown")
        if "unknown" in self.rebuy:
            states.add("held")
        return frozenset(states)

    def scopes(self) -> tuple[str, ...]:
        """The scopes that money spent now counts in, by the provider's calendar."""
        return calendar_scopes(self.run_id, self.clock.now() + self.job.provider.utc_offset_s)

    def caps(self) -> tuple[Cap, ...]:
        """The job's budgets and `--max-cost`, each on the scope that it bounds at this moment."""
        life, this_run, day, week, month = self.scopes()
        scope_of = {"life": life, "run": this_run, "day": day, "week": week, "month": month}
        caps = [
            Cap(scope_of[each.per], each.images, self.millionths(each.cost), each.words(self.currency))
            for each in self.job.budgets
        ]
        if self.max_cost is not None:
            caps.append(Cap(this_run, None, self.millionths(self.max_cost), f"--max-cost {self.max_cost}"))
        return tuple(caps)

    def millionths(self, price: Decimal | None) -> int | None:
        """Money as the ledger keeps it."""
        return None if price is None else int(price * MILLION)

    async def on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that touches the disk in the threads that are there for it."""
        return await asyncio.get_running_loop().run_in_executor(self.disk, lambda: function(*args, **kwargs))

    async def keep_answer(self, spool: str, items: Sequence[Item]) -> None:
        """Keep a paid answer that holds the pictures themselves, at any cost."""
        body = await self.on_disk(kept_answer, items)
        await self._at_any_cost(lambda: self.on_disk(self.folder.spool_write, spool, body))

    async def keep_unusable(self, name: str, body: bytes) -> None:
        """Keep the body of a paid answer that holds no picture: it is the only proof of what came."""
        try:
            await self.on_disk(self._write_proof, f"unusable/{name}.body", body)
        except StorageError as error:
            self.warn(f"the proof of a paid answer without a picture cannot be kept: {error.message}")

    def _write_proof(self, name: str, body: bytes) -> None:
        cut = len(body) > _UNUSABLE_AT_MOST
        self.folder.write_atomically(name, self.secret.hide_in(body[:_UNUSABLE_AT_MOST], cut=cut))

    async def write_at_any_cost(self, operation: Operation[T]) -> T:
        """Write what a paid answer brought into the ledger, at any cost."""
        return await self._at_any_cost(lambda: self.ledger.write(operation))

    async def _at_any_cost(self, write: Callable[[], Awaitable[T]]) -> T:
        """While the disk refuses, try for a minute before giving up: until then the answer is in this process alone.

        Raises the StorageError of the last try.
        """
        for _ in range(_WRITE_TRIES):
            try:
                return await write()
            except StorageError as error:
                self.folder.release_reserve()
                self.warn(f"a paid answer cannot be written down yet: {error.message}")
                await self.clock.sleep(1.0)
        return await write()

    def tell(self, event: Event) -> None:
        """Give an event to every listener; one that raises is reported once and asked no more."""
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception:  # noqa: BLE001, RUF100  # a display must never stop a paid run
                self.listeners.remove(listener)
                _log.exception("a display failed and was switched off; the run goes on")

    def warn(self, message: str) -> None:
        """One line that the user should read."""
        self.tell(Notice(at=self.clock.now(), level="warning", message=self.clean(message)))

    def info(self, message: str) -> None:
        """One line of news between calls."""
        self.tell(Notice(at=self.clock.now(), level="info", message=self.clean(message)))

    def tell_gone(self, task_id: str, label: str, prompt_id: str, state: str, message: str) -> None:
        """News of a paid picture that cannot be had."""
        self.tell(
            PictureGone(
                at=self.clock.now(), task_id=task_id, label=label, prompt_id=prompt_id, state=state, message=message
            )
        )

    def clean(self, text: str) -> str:
        """Outside text as it may be kept and told: a harmless line of 500 characters, without the key and signatures."""
        # Cleaned first: what is dropped may be what keeps the letters of the key apart.
        harmless = clean(text, 40 * _TEXT_AT_MOST)
        return clean(without_signatures(self.secret.beginning(harmless, 2 * _TEXT_AT_MOST)), _TEXT_AT_MOST)
