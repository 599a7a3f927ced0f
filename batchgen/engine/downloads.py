"""From a paid answer to a whole picture under its final name: a stage of its own, beside the paid calls.

A download is free, so it is tried often; it never leads to another paid call. Pictures that land together are stored
together: one hop to the disk, one set of folder syncs, one commit.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.api.dialects import UnusableAnswer, inline_bytes, parse_generation
from batchgen.api.fetch import BLOCK, Downloader, FetchFailed, LinkDead
from batchgen.engine.context import RunContext
from batchgen.engine.rows import manifest_row
from batchgen.errors import StorageError
from batchgen.events import PictureDelayed, PictureStored
from batchgen.spec.recipe import recipe_of, words_of
from batchgen.storage.disk import is_shortage_of_files
from batchgen.storage.files import Landed, Landing, PartFile, ResultFolder, StorageFailure
from batchgen.storage.landings import StoredPicture, end_picture, note_tries, store
from batchgen.storage.manifest import ManifestWriter
from batchgen.storage.pictures import wrong_format, wrong_size
from batchgen.storage.queries import Waiting, file_names_like, manifest_rows_of, records_of, spool_in_use

AT_ONCE = 16
TRIES = 8
DEAD_DELAYS_S = (20.0, 100.0)
"""A store may need a while until a new picture is everywhere: that it is not there is believed after two minutes."""
DEAD_TRIES = len(DEAD_DELAYS_S) + 1
ODD_DELAYS_S = (2.0, 10.0)
"""What a server should never give (too large, compressed, a way out of the internet) is believed at the third time."""
SAME_DAMAGE_TRIES = 3
_BATCH_AT_MOST = 32
_STORERS = 1
"""More would write smaller batches, and share the processor with the calls instead of the work."""


@dataclass(slots=True)
class _Job:
    """One waiting picture on its way, with what its tries have shown so far."""

    picture: Waiting
    tries: int = 0
    dead: int = 0
    damaged_sha256: str = ""
    damaged_times: int = 0
    spool_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class _Arrived:
    job: _Job
    data: "bytes | PartFile"


class Downloads:
    """The stage: `add` pictures, `finish` when no more will come. `backlog` says how many it still has in hand."""

    def __init__(self, run: RunContext, downloader: Downloader, manifest: ManifestWriter) -> None:
        self._run = run
        self._downloader = downloader
        self._manifest = manifest
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._arrived: asyncio.Queue[_Arrived] = asyncio.Queue(_BATCH_AT_MOST)
        self._workers: list[asyncio.Task[None]] = []
        self._later: set[asyncio.Task[None]] = set()
        self._drained = asyncio.Event()
        self._drained.set()
        self._storing = asyncio.Lock()
        self.backlog = 0
        """Pictures that are neither stored nor given up yet."""
        self.left_waiting = 0
        """Pictures that were given up for this run."""
        self.stored = 0
        """Pictures that were stored in this run."""
        self.failed_in_a_row = 0
        """Pictures that were given up or lost since the last one was stored."""
        self.failure: BaseException | None = None
        """What broke the stage: a disk that takes nothing more."""
        self.broken = asyncio.Event()

    def start(self) -> None:
        """Begin to work."""
        loops = [self._fetch_forever() for _ in range(AT_ONCE)] + [self._store_forever() for _ in range(_STORERS)]
        self._workers = [asyncio.create_task(self._guarded(loop)) for loop in loops]

    def add(self, pictures: Iterable[Waiting]) -> None:
        """Take more pictures, in the order in which they should be fetched."""
        if self.broken.is_set():
            return  # they wait in the ledger for the next run
        for picture in pictures:
            self.backlog += 1
            self._drained.clear()
            self._queue.put_nowait(_Job(picture))

    async def finish(self) -> None:
        """Wait until every picture is stored or given up, then end."""
        ends = {asyncio.ensure_future(self._drained.wait()), asyncio.ensure_future(self.broken.wait())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        await self.abort()

    async def abort(self) -> None:
        """End now; pictures in hand stay waiting in the ledger. A batch that is being stored is stored to its end."""
        for task in (*self._workers, *self._later):
            task.cancel()
        await asyncio.gather(*self._workers, *self._later, return_exceptions=True)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # whatever it is, waiting for pictures that nobody fetches is worse
            self.failure = self.failure or error
            self.broken.set()

    def _close(self, count: int = 1) -> None:
        self.backlog -= count
        if self.backlog == 0:
            self._drained.set()

    async def _fetch_forever(self) -> None:
        while True:
            job = await self._queue.get()
            job.tries += 1
            spooled = job.picture.spool is not None and not job.spool_is_bad
            try:
                data = await self._from_spool(job) if spooled else await self._from_link(job)
            except StorageError as error:
                if not is_shortage_of_files(error):
                    raise
                await self._again(job, error.message)
                continue
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001  # one odd link must not keep all the others from being fetched
                await self._again(job, f"the download failed ({type(error).__name__})")
                continue
            if data is not None:
                await self._arrived.put(_Arrived(job, data))

    async def _from_spool(self, job: _Job) -> "bytes | PartFile | None":
        """The picture that came inside its answer; a bad one falls back to its link, or is lost."""
        run, spool = self._run, job.picture.spool
        assert spool is not None
        held = 0
        try:
            size = await run.on_disk(run.folder.spool_bytes, spool)
            held = await run.memory.take(size) if size > BLOCK else 0
            return await run.on_disk(_spooled_picture, run.folder, spool, job.picture.item, job.picture.picture_id)
        except (UnusableAnswer, ValueError, IndexError) as error:
            await self._bad_spool(job, run.clean(str(error)) or "the kept answer cannot be read")
            return None
        finally:
            run.memory.give_back(held)

    async def _bad_spool(self, job: _Job, reason: str) -> None:
        job.spool_is_bad = True
        if job.picture.url is None:
            await self._end(job, "lost", reason)
        else:
            self._queue.put_nowait(job)

    async def _from_link(self, job: _Job) -> "bytes | PartFile | None":
        picture = job.picture
        assert picture.url is not None, "a picture without a link has a spooled answer"
        sink = _Sink(self._run, f"{picture.picture_id}")
        try:
            await self._downloader.fetch(picture.url, sink.write)
            return sink.data
        except LinkDead as error:
            await sink.discard()
            job.dead += 1
            if picture.expires_at <= self._run.clock.now() or job.dead >= DEAD_TRIES:
                await self._dead(job, str(error))
            else:
                self._put_back(job, str(error), delay=DEAD_DELAYS_S[job.dead - 1])
        except FetchFailed as error:
            await sink.discard()
            message = self._run.clean(str(error))
            job.dead += error.odd
            if error.final or (error.odd and job.dead >= DEAD_TRIES):
                await self._end(job, "lost", message)
            elif error.odd:
                self._put_back(job, message, delay=ODD_DELAYS_S[job.dead - 1])
            else:
                await self._again(job, message)
        except BaseException:
            await sink.discard()
            raise
        return None

    async def _dead(self, job: _Job, message: str) -> None:
        """The link is dead: a whole file that a crash left under the final name is taken, else the picture is gone."""
        picture = job.picture
        taken = await self._run.ledger.write(lambda connection: file_names_like(connection, picture.name))
        folder = self._run.folder
        found = await self._run.on_disk(folder.find_stored, picture.name, picture.number, picture.task_id, taken)
        if found is not None:
            await self._record([job], [found])
            return
        await self._end(job, "expired", message)

    async def _again(self, job: _Job, message: str) -> None:
        if job.tries < TRIES:
            self._put_back(job, message, delay=self._run.clock.jitter(0.0, min(30.0, 0.5 * 2.0**job.tries)))
            return
        picture = job.picture
        await self._run.ledger.write(lambda connection: note_tries(connection, picture.picture_id, job.tries, message))
        self.left_waiting += 1
        self.failed_in_a_row += 1
        self._tell_delayed(job, message, gave_up=True)
        self._close()

    def _put_back(self, job: _Job, message: str, *, delay: float) -> None:
        async def later() -> None:
            await self._run.clock.sleep(delay)
            self._queue.put_nowait(job)

        self._tell_delayed(job, message, gave_up=False)
        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _tell_delayed(self, job: _Job, message: str, *, gave_up: bool) -> None:
        self._run.tell(
            PictureDelayed(
                at=self._run.clock.now(),
                task_id=job.picture.task_id,
                label=job.picture.label,
                prompt_id=job.picture.prompt_id,
                message=message,
                tries=job.tries,
                gave_up=gave_up,
            )
        )

    async def _end(self, job: _Job, state: str, message: str) -> None:
        picture = job.picture
        await self._run.ledger.write(lambda connection: end_picture(connection, picture.picture_id, state, message))
        if picture.spool is not None:
            await self._drop_spool(picture.spool)
        self.failed_in_a_row += 1
        self._run.tell_gone(picture.task_id, picture.label, picture.prompt_id, state, message)
        self._close()

    async def _store_forever(self) -> None:
        while True:
            batch = [await self._arrived.get()]
            while len(batch) < _BATCH_AT_MOST and not self._arrived.empty():
                batch.append(self._arrived.get_nowait())
            storing = asyncio.ensure_future(self._store(batch))
            try:
                await asyncio.shield(storing)
            except asyncio.CancelledError:
                # The disk thread cannot be stopped half-way; what it stores is recorded before this stage ends.
                await asyncio.gather(storing, return_exceptions=True)
                raise

    async def _recipes(self, batch: list[_Arrived]) -> dict[str, dict[str, Any]]:
        """What is written into the pictures, by task: nothing when the job does not want it."""
        if not self._run.job.output.embed:
            return {}
        ids = list({item.job.picture.task_id for item in batch})
        records = await self._run.ledger.write(lambda connection: records_of(connection, ids))
        return {
            task_id: {"recipe": recipe_of(record, task_id), "words": words_of(record)}
            for task_id, record in records.items()
        }

    async def _store(self, batch: list[_Arrived]) -> None:
        recipes = await self._recipes(batch)
        landings = [
            Landing(
                key=str(item.job.picture.picture_id),
                data=item.data,
                stem=item.job.picture.name,
                picture_number=item.job.picture.number,
                task_id=item.job.picture.task_id,
                **recipes.get(item.job.picture.task_id, {}),
            )
            for item in batch
        ]
        try:
            results = await self._run.on_disk(self._run.folder.store_batch, landings)
        except StorageError as error:
            if not is_shortage_of_files(error):
                raise
            for item in batch:
                await self._again(item.job, error.message)
            return
        landed: list[tuple[_Job, Landed]] = []
        for item, result in zip(batch, results, strict=True):
            if isinstance(result, StorageFailure):
                await self._damaged(item, result)
            else:
                landed.append((item.job, result))
        if landed:
            await self._record([job for job, _ in landed], [result for _, result in landed])

    async def _damaged(self, item: _Arrived, failure: StorageFailure) -> None:
        """Bytes that are no whole picture: tried again, unless the server keeps sending the very same ones."""
        job, message = item.job, failure.error.message
        if job.picture.spool is not None and not job.spool_is_bad:
            await self._bad_spool(job, message)
            return
        sha256 = item.data.sha256 if isinstance(item.data, PartFile) else hashlib.sha256(item.data).hexdigest()
        job.damaged_times = job.damaged_times + 1 if sha256 == job.damaged_sha256 else 1
        job.damaged_sha256 = sha256 or ""
        if job.damaged_times >= SAME_DAMAGE_TRIES:
            await self._end(job, "lost", message)
        else:
            await self._again(job, message)

    async def _record(self, jobs: Sequence[_Job], landed: Sequence[Landed]) -> None:
        """Commit what is on disk, then the manifest's lines, then tell."""
        run = self._run
        pictures = [_stored(job.picture, result) for job, result in zip(jobs, landed, strict=True)]
        ids = [picture.picture_id for picture in pictures]
        async with self._storing:  # the manifest is appended in the order of the ledger's commits
            recorded, rows = await run.ledger.write(
                lambda connection: (store(connection, pictures, run.clock.now()), manifest_rows_of(connection, ids))
            )
            await run.on_disk(self._manifest.append, [manifest_row(row) for row in rows])
        self.failed_in_a_row = 0
        self.stored += len(pictures)
        for job, picture, record in zip(jobs, pictures, recorded, strict=True):
            run.tell(
                PictureStored(
                    at=run.clock.now(),
                    task_id=job.picture.task_id,
                    label=job.picture.label,
                    file_name=picture.file_name,
                    bytes=picture.bytes,
                    width=picture.width,
                    height=picture.height,
                    flags=record.flags,
                    task_done=record.task_state == "stored",
                )
            )
        spools = {job.picture.spool for job in jobs if job.picture.spool}
        for spool in spools:
            await self._drop_spool(spool)
        self._close(len(jobs))

    async def _drop_spool(self, spool: str) -> None:
        """A spooled answer may go when none of its pictures waits for it any more."""
        left = await self._run.ledger.write(lambda connection: spool_in_use(connection, spool))
        if not left:
            await self._run.on_disk(self._run.folder.spool_delete, spool)


class _Sink:
    """Where a download's blocks go: into memory while there is one block, into a part file from the second on."""

    def __init__(self, run: RunContext, key: str) -> None:
        self._run = run
        self._key = key
        self._first = b""
        self._part: PartFile | None = None

    @property
    def data(self) -> "bytes | PartFile":
        return self._part if self._part is not None else self._first

    async def write(self, block: bytes) -> None:
        if self._part is None and not self._first:
            self._first = block
            return
        if self._part is None:
            self._part = await self._run.on_disk(self._run.folder.create_part, self._key)
            await self._run.on_disk(self._part.write, self._first)
            self._first = b""
        await self._run.on_disk(self._part.write, block)

    async def discard(self) -> None:
        if self._part is not None:
            await self._run.on_disk(self._part.discard)


def _spooled_picture(folder: ResultFolder, spool: str, item: int, picture_id: int) -> "bytes | PartFile":
    body = folder.spool_read(spool)
    if body is None:
        raise ValueError("the answer that held the picture is not there any more")
    inline = parse_generation(body).items[item].inline
    if inline is None:
        raise ValueError("the kept answer holds no picture at this place")
    data = inline_bytes(inline)
    if len(data) <= BLOCK:
        return data
    part = folder.create_part(f"{picture_id}")
    try:
        part.write(data)
    except StorageError:
        part.discard()
        raise
    return part


def _stored(picture: Waiting, landed: Landed) -> StoredPicture:
    facts = landed.facts
    checks = {
        "black": facts.black,
        "blank": facts.blank and not facts.black,
        "size": wrong_size(facts, picture.asked_size or None),
        "format": wrong_format(facts, picture.asked_format),
        "animated": facts.animated,
        "trailing": facts.trailing > 0,
    }
    return StoredPicture(
        picture_id=picture.picture_id,
        file_name=landed.file_name,
        bytes=landed.bytes,
        width=facts.width,
        height=facts.height,
        format=facts.format,
        sha256=facts.sha256,
        source_sha256=landed.source_sha256,
        flags=tuple(flag for flag, applies in checks.items() if applies),
        look=facts.look,
        kin=picture.kin,
    )
