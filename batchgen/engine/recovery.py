"""What a run finds when it begins, and settles before it buys: calls that nobody ended, links that die, a torn manifest.

Everything here reads the ledger and not the job: what is billed is brought home even if nobody asks for it any more. It
refuses to buy.
"""

import contextlib
from collections.abc import Sequence

from batchgen.api.dialects import UnusableAnswer, parse_generation
from batchgen.engine.context import RunContext
from batchgen.engine.rows import manifest_row
from batchgen.errors import BudgetError
from batchgen.storage.manifest import ManifestWriter
from batchgen.storage.purchases import Cap, Ending, NewPicture, bill, lose_track, spool_key
from batchgen.storage.queries import (
    Sending,
    Waiting,
    manifest_rows,
    money,
    sending,
    spool_in_use,
    stored_pictures,
)

LINKS_DIE_SOON_S = 24 * 3600.0


async def refuse_two_currencies(run: RunContext, caps: Sequence[Cap]) -> None:
    """Raise BudgetError when a cost budget covers money of another currency than the provider's: it has no one sum."""
    for cap in caps:
        if cap.cost is None:
            continue
        entries = await run.ledger.write(lambda connection, scope=cap.scope: money(connection, scope))  # type: ignore[misc]
        others = [
            entry.currency
            for entry in entries
            if entry.currency != run.currency and entry.reserved + entry.billed + entry.maybe
        ]
        if others:
            raise BudgetError(
                f"the budget of {cap.words} covers what {run.folder.path} spent in {', '.join(others)}, too:"
                " amounts in two currencies cannot be added up",
                "bound the job with `budget: {images: N}`, or give it an `output.folder` of its own",
            )


async def settle_sending(run: RunContext) -> None:
    """Calls that a killed run left: an answer that was spooled whole is billed, any other outcome is unknown."""
    spooled = set(await run.on_disk(run.folder.spool_keys))
    for call in await run.ledger.write(sending):
        key = spool_key(call.attempt_id, call.idempotency_key)
        await _settle(run, call, key if key in spooled else None)
    for key in spooled:  # a crash after the last picture was stored leaves its answer behind
        if not await run.ledger.write(lambda connection, key=key: spool_in_use(connection, key)):  # type: ignore[misc]
            await run.on_disk(run.folder.spool_delete, key)


async def _settle(run: RunContext, call: Sending, spool: str | None) -> None:
    at = run.clock.now()
    if spool is not None:
        body = await run.on_disk(run.folder.spool_read, spool) or b""
        with contextlib.suppress(UnusableAnswer):
            items = parse_generation(body).items
            pictures = [
                NewPicture(place, item.url, spool if item.inline else None)
                for place, item in enumerate(items)
                if item.url or item.inline
            ]
            ending = Ending("billed", "", "", 200, 0.0, at)
            expires_at = call.sent_at + run.job.provider.link_lifetime_of(call.model)
            await run.ledger.write(lambda connection: bill(connection, call.attempt_id, ending, pictures, expires_at))
            return
    ending = Ending("killed", "the run ended while the call was under way", "", None, 0.0, at)
    await run.ledger.write(lambda connection: lose_track(connection, call.attempt_id, ending))


async def mend_manifest(run: RunContext, manifest: ManifestWriter) -> None:
    """The manifest follows the ledger: rebuilt when a crash left it short or torn."""
    expected = await run.ledger.write(stored_pictures)
    if not await run.on_disk(manifest.is_whole, expected):
        rows = await run.ledger.write(lambda connection: [manifest_row(row) for row in manifest_rows(connection)])
        await run.on_disk(manifest.rebuild, rows)


def say_what_waits(run: RunContext, paid_for: Sequence[Waiting]) -> None:
    """Tell of pictures that an earlier run left, and warn of links with less than a day to live."""
    if not paid_for:
        return
    waits = f"{len(paid_for)} pictures wait" if len(paid_for) > 1 else "1 picture waits"
    run.info(f"{waits} for download: paid for and not on disk yet; that comes first")
    now = run.clock.now()
    dying = [picture.expires_at for picture in paid_for if picture.expires_at - now < LINKS_DIE_SOON_S and picture.url]
    if dying:
        hours = max(0.0, min(dying) - now) / 3600
        first = f"the first in {hours:.0f} h" if hours >= 1 else "the first within the hour, if it lives at all"
        links = f"{len(dying)} links die" if len(dying) > 1 else "1 link dies"
        run.warn(f"{links} within 24 hours, {first}: a picture whose link is dead is paid and lost")
