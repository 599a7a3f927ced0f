"""The life of one task, told once: intent, call, answer, pictures waiting.

The order is what keeps the promises: nothing is sent before its intent is durable, and nothing that was paid for is
used before it is durable. `buy` is the part that could run on another machine: it takes and returns plain values.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from batchgen.api.call import Answer, Caller
from batchgen.api.dialects import Generation, Item, UnusableAnswer, parse_generation, request_body
from batchgen.api.outcomes import Kind, Outcome, Reach, classify
from batchgen.engine.context import RunContext
from batchgen.engine.inputs import REQUEST_AT_MOST
from batchgen.errors import StorageError, UsageError
from batchgen.events import CallBilled, CallReturned, CallSent, CallUnknown, TaskFailed
from batchgen.spec.job import ModelUse
from batchgen.spec.task import Task
from batchgen.storage.disk import is_shortage_of_files
from batchgen.storage.purchases import (
    Begun,
    Declined,
    Ending,
    Intent,
    NewPicture,
    begin,
    bill,
    dump_json,
    fail,
    give_back,
    lose_track,
    spool_key,
)
from batchgen.storage.queries import waiting_of

T = TypeVar("T")

_PARSED_ON_THE_LOOP = 32 * 1024


class Next(StrEnum):
    """What follows for a task after one call."""

    DONE = "done"
    AGAIN = "again"
    LEFT = "left"
    """Not bought in this run, for the reason that the verdict names."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one call ended, for the pool: what follows for the task, and what it says of the endpoint."""

    next: Next
    outcome: Outcome | None = None
    usable: bool = True
    message: str = ""
    declined: str = ""
    retry_after: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Bought:
    """What `buy` brings home: how the call ended, and what came."""

    answer: Answer
    outcome: Outcome


async def make(task: Task, use: ModelUse, run: RunContext) -> Verdict:
    """Buy one task: from its durable intent to its durable answer. Downloads follow by themselves.

    Cancelling it while the call is under way records the outcome as unknown.
    """
    size = run.inputs.bytes_of(task.params)
    if size > REQUEST_AT_MOST:
        words = f"its input pictures have {size / 2**20:.0f} MB, more than the {REQUEST_AT_MOST >> 20} allowed"
        run.warn(f"{task.prompt_id} ({task.label}) was left out: {words}")
        return Verdict(Next.LEFT, declined="input")
    held = await run.requests.take(size) if size else 0
    try:
        return await _make(task, use, run)
    finally:
        run.requests.give_back(held)


async def _make(task: Task, use: ModelUse, run: RunContext) -> Verdict:
    try:
        params = await run.inputs.resolve(task.params)
    except StorageError as error:
        if not is_shortage_of_files(error):
            raise
        return Verdict(Next.AGAIN, Outcome(Kind.NOT_SENT, Reach.RETRY, "too_many_files", error.message))
    except UsageError as error:
        run.warn(f"{task.prompt_id} ({task.label}) was left out: {error.message}")
        return Verdict(Next.LEFT, declined="input")
    begun = await _durable_intent(task, use, run)
    if isinstance(begun, Declined):
        return Verdict(Next.LEFT, declined=begun.reason, message=begun.words)
    run.tell(
        CallSent(
            at=run.clock.now(),
            task_id=task.task_id,
            label=task.label,
            prompt_id=task.prompt_id,
            attempt=begun.number,
            reserved=None if use.model.price is None else use.model.price * task.pictures,
        )
    )
    seed = task.seed if "seed" in use.model.fields else None
    body = request_body(task.model, task.prompt, seed, params, task.extra_params)
    timeout_s = use.limits.timeout_s or run.timeout_s
    try:
        bought = await buy(run.caller, body, begun.idempotency_key, timeout_s)
    except asyncio.CancelledError:
        ending = Ending(
            "interrupted", "the run was stopped while the call was under way", "", None, 0.0, run.clock.now()
        )
        await _to_the_end(_settle_unknown(task, use, begun, ending, run, again=False))
        raise
    try:
        return await _to_the_end(_settle(task, use, begun, bought, run))
    finally:
        run.caller.let_go(bought.answer)


async def _durable_intent(task: Task, use: ModelUse, run: RunContext) -> Begun | Declined:
    """The intent, once it is on the disk. Cancelled meanwhile, it is taken back: no call will follow it."""
    writing = asyncio.ensure_future(run.ledger.write(lambda connection: _begin(connection, task, use, run)))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        await _to_the_end(_take_back(writing, run))
        raise


async def _take_back(writing: "asyncio.Future[Begun | Declined]", run: RunContext) -> None:
    with contextlib.suppress(StorageError):
        begun = await writing
        if isinstance(begun, Begun):
            ending = Ending(
                "interrupted", "the run was stopped before the call", "", None, 0.0, run.clock.now(), posted=False
            )
            await run.ledger.write(lambda connection: give_back(connection, begun.attempt_id, ending))


def _begin(connection: sqlite3.Connection, task: Task, use: ModelUse, run: RunContext) -> Begun | Declined:
    run.ledger.check_place()
    return begin(connection, _intent(task, use, run), run.caps())


async def _to_the_end(writing: Coroutine[Any, Any, T]) -> T:
    """Write down what came, however often the run is cancelled meanwhile; the cancellation follows after it."""
    task = asyncio.ensure_future(writing)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:  # noqa: BLE001  # raised again below, from the task itself
            break
    if cancelled and not task.cancelled() and task.exception() is None:
        raise asyncio.CancelledError
    return task.result()


async def buy(caller: Caller, body: bytes, idempotency_key: str, timeout_s: float) -> Bought:
    """Send one paid request and say what came of it. Plain values in and out; writes nothing."""
    answer = await caller.post(body, idempotency_key=idempotency_key, timeout_s=timeout_s)
    return Bought(answer, classify(answer.facts))


async def _read(body: bytes, run: RunContext) -> tuple[Generation | None, str]:
    """The pictures of a paid answer, or why there are none; a large body is read off the event loop."""
    try:
        if len(body) > _PARSED_ON_THE_LOOP:
            return await run.on_disk(parse_generation, body, run.secret), ""
        return parse_generation(body, run.secret), ""
    except UnusableAnswer as error:
        return None, str(error)


async def _settle(task: Task, use: ModelUse, begun: Begun, bought: Bought, run: RunContext) -> Verdict:
    outcome = bought.outcome
    generation, unusable = None, ""
    if outcome.kind is Kind.BILLED:
        generation, unusable = await _read(bought.answer.body, run)
    ending = Ending(
        kind="no_picture" if unusable else outcome.reason,
        message=run.clean(unusable or outcome.message),
        request_id=run.clean(outcome.request_id),
        status=outcome.status,
        latency_s=round(bought.answer.latency_s, 3),
        at=run.clock.now(),
        posted=outcome.kind is not Kind.NOT_SENT,
    )
    verdict = Verdict(
        Next.DONE,
        outcome,
        usable=generation is not None,
        message=ending.message,
        retry_after=bought.answer.retry_after,
        date=bought.answer.date,
    )
    if outcome.kind is Kind.BILLED:
        run.note_latency(task.label, bought.answer.latency_s)
        await _settle_billed(task, use, begun, bought.answer.body, generation, ending, run)
        return verdict
    if outcome.kind is Kind.UNKNOWN:
        again = run.retry_unknown and not begun.again
        await _settle_unknown(task, use, begun, ending, run, again=again)
        return replace(verdict, next=Next.AGAIN if again else Next.LEFT)
    if outcome.kind is Kind.REFUSED and outcome.reach is Reach.TASK:
        await run.ledger.write(lambda connection: fail(connection, begun.attempt_id, ending))
        run.tell(
            TaskFailed(
                at=ending.at,
                task_id=task.task_id,
                label=task.label,
                prompt_id=task.prompt_id,
                kind=ending.kind,
                message=ending.message,
                request_id=ending.request_id,
            )
        )
        return verdict
    await run.ledger.write(lambda connection: give_back(connection, begun.attempt_id, ending))
    run.tell(
        CallReturned(
            at=ending.at,
            task_id=task.task_id,
            label=task.label,
            outcome=outcome.kind.value,
            status=outcome.status,
            message=ending.message,
        )
    )
    return replace(verdict, next=Next.AGAIN)


async def _settle_billed(
    task: Task,
    use: ModelUse,
    begun: Begun,
    body: bytes,
    generation: Generation | None,
    ending: Ending,
    run: RunContext,
) -> None:
    pictures: list[NewPicture] = []
    if generation is not None:
        items = generation.items
        if generation.left_out:
            run.warn(
                f"an answer of {task.label} listed far too many pictures: {generation.left_out} of them were left out"
            )
        spool = await _spooled(begun, items, run)
        pictures = [
            NewPicture(place, item.url, spool if item.inline else None)
            for place, item in enumerate(items)
            if item.url or (item.inline and spool)
        ]
    expires_at = ending.at + run.job.provider.link_lifetime_of(use.model.id)
    waiting = await run.write_at_any_cost(
        lambda connection: waiting_of(connection, bill(connection, begun.attempt_id, ending, pictures, expires_at))
    )
    price = use.model.price
    run.tell(
        CallBilled(
            at=ending.at,
            task_id=task.task_id,
            label=task.label,
            pictures=len(pictures),
            cost=None if price is None else price * max(task.pictures, len(pictures)),
            latency_s=ending.latency_s,
            request_id=ending.request_id,
        )
    )
    if waiting:
        run.downloads.add(waiting)
    else:
        # Only now: a proof that cannot be kept must not turn a billed call into one of unknown outcome.
        await run.keep_unusable(f"{task.task_id[:16]}-{begun.attempt_id}", body)
        run.tell_gone(task.task_id, task.label, task.prompt_id, "lost", ending.message)


async def _spooled(begun: Begun, items: Sequence[Item], run: RunContext) -> str | None:
    """The key under which an answer is kept that holds its pictures itself; None when links suffice."""
    if not any(item.inline for item in items):
        return None
    spool = spool_key(begun.attempt_id, begun.idempotency_key)
    try:
        await run.keep_answer(spool, items)
    except StorageError:
        if not all(item.url for item in items if item.inline):
            raise
        return None
    return spool


async def _settle_unknown(
    task: Task, use: ModelUse, begun: Begun, ending: Ending, run: RunContext, *, again: bool
) -> None:
    await run.ledger.write(lambda connection: lose_track(connection, begun.attempt_id, ending))
    price = use.model.price
    run.tell(
        CallUnknown(
            at=ending.at,
            task_id=task.task_id,
            label=task.label,
            prompt_id=task.prompt_id,
            message=ending.message,
            cost=None if price is None else price * task.pictures,
            will_retry=again,
        )
    )


def _intent(task: Task, use: ModelUse, run: RunContext) -> Intent:
    return Intent(
        task_id=task.task_id,
        label=task.label,
        model=task.model,
        name=task.name,
        record=dump_json(record_of(task, run.inputs.recorded(task.params))),
        images=task.pictures,
        price=run.millionths(use.model.price),
        currency=run.currency,
        run_id=run.run_id,
        scopes=run.scopes(),
        at=run.clock.now(),
        rebuy=run.rebuy,
        retry_unknown=run.retry_unknown,
    )


def record_of(task: Task, params: dict[str, Any]) -> dict[str, Any]:
    """What the ledger keeps of a task: enough to rebuild its request, with `inputs/`, and to name it for people.

    `params` are the task's with every picture as `Inputs.recorded` names it.
    """
    return {
        "prompt_id": task.prompt_id,
        "row": task.row,
        "prompt": task.prompt,
        "vars": dict(task.vars),
        "provider": task.provider,
        "model": task.model,
        "label": task.label,
        "seed": task.seed,
        "try": task.try_number,
        "index": task.index,
        "night": task.night,
        "params": params,
        "extra_params": dict(task.extra_params),
    }
