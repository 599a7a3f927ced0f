"""How a run ended: the exit codes that are true of it, and the reasons in words. Pure; it refuses to write anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchgen.engine.endpoint import Stop
from batchgen.errors import BatchgenError, Exit

_NOT_DONE = ("pending", "sending", "unknown", "held")


@dataclass(frozen=True, slots=True)
class PoolEnd:
    """How one model's share of a run ended; `stop` is None when it came to the end of its tasks."""

    label: str
    stop: Stop | None
    left_out: int
    """Tasks that could not be sent."""


def exit_codes(
    pools: Sequence[PoolEnd],
    states: Mapping[str, Mapping[str, int]],
    *,
    left_waiting: int,
    signal: Exit | None,
    failure: BaseException | None,
) -> set[Exit]:
    """Every exit code that is true of what the job asks for now; `states` counts its tasks by label and state."""
    codes = {signal} if signal is not None else set()
    if failure is not None:
        codes.add(failure.exit_code if isinstance(failure, BatchgenError) else Exit.BUG)
    counted: dict[str, int] = {}
    for by_state in states.values():
        for state, count in by_state.items():
            counted[state] = counted.get(state, 0) + count
    for pool in pools:
        if pool.stop is not None and any(states[pool.label].get(state) for state in _NOT_DONE):
            codes.add(pool.stop.exit_code)
        if pool.left_out:
            codes.add(Exit.TASKS_FAILED)
    if left_waiting or counted.get("billed"):
        codes.add(Exit.UNAVAILABLE)
    if counted.get("unknown") or counted.get("held"):
        codes.add(Exit.HELD)
    if any(counted.get(state) for state in ("failed", "expired", "lost")):
        codes.add(Exit.TASKS_FAILED)
    return codes


def reasons(pools: Sequence[PoolEnd], *, left_waiting: int, failure: BaseException | None) -> tuple[str, ...]:
    """Why the run ended before its tasks did; a reason that all models share is told once."""
    stopped = [(pool.label, pool.stop.reason) for pool in pools if pool.stop is not None]
    shared = {reason for _, reason in stopped}
    if len(shared) == 1 and len(stopped) == len(pools):
        found = list(shared)
    else:
        found = [f"{label}: {reason}" for label, reason in stopped]
    message = getattr(failure, "message", "")
    if message and message not in shared:
        found.append(message)
    if left_waiting:
        noun = "download" if left_waiting == 1 else "downloads"
        found.append(f"{left_waiting} {noun} put off to the next run")
    return tuple(found)
