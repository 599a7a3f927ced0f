"""The proof that a run does everything in the right order, from its system calls and a disk that forgets.

`Proof.replay` feeds a log into the model of the disk. Wherever what survives may differ, it asks what a power cut just
there would leave: the folder's files in the worst case, and three ledgers (nothing survived but what was synced; all of
it did; some of the writes did). Each ledger is opened by SQLite, and what it says has to be true of the files. Every
request that leaves has to stand in the worst of the ledgers. It refuses to know the product's code.
"""

import base64
import binascii
import functools
import hashlib
import json
import os
import random
import re
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .forgetful import Disk, File
from .trace import SENDS, SYNCS, Call, steps

_LEDGER = "ledger.sqlite3"
_LEDGER_FILES = (_LEDGER, f"{_LEDGER}-wal", f"{_LEDGER}-journal")
_QUICK = next((place for place in ("/dev/shm",) if os.access(place, os.W_OK)), None)
"""Where ledgers are opened to be read: in memory where that is possible."""
_SHRINKS = frozenset({"unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2"})
_REQUEST = re.compile(rb"^(POST|GET) (\S+) HTTP/1\.1\r\n")
_KEY = re.compile(rb"\r\nIdempotency-Key: (\S+)\r\n", re.IGNORECASE)
_HOST = re.compile(rb"\r\nHost: (\S+)\r\n", re.IGNORECASE)


Survives = Callable[[str], bytes | None]
"""The content under a name of the output folder after a power cut, in one of the ways it may end."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a ledger."""

    state: str
    file_name: str | None
    sha256: str | None
    url: str | None
    spool: str | None
    item: int


@dataclass(frozen=True, slots=True)
class Said:
    """What one surviving ledger says; `trouble` is why it cannot be read."""

    sending: frozenset[str] = frozenset()
    """The keys of the calls under way."""
    urls: frozenset[str] = frozenset()
    pictures: tuple[Row, ...] = ()
    tasks: tuple[str, ...] = ()
    """The state of each task."""
    trouble: str = ""


class Proof:
    """One output folder's life, run after run; `complaints` is what a power cut at some moment would have broken."""

    def __init__(self, root: Path, output: Path, seed: int = 1) -> None:
        self._name = output.relative_to(root).as_posix()
        self._disk = Disk(root)
        self._choice = random.Random(seed)
        self._complaints: dict[str, None] = {}
        self._judged = -1
        self._read: dict[tuple[bytes | None, ...], Said] = {}
        self.states = 0
        """How many surviving states were looked at."""
        self.calls = 0
        """How many system calls on the folder were replayed."""
        self.posts = 0
        self.gets = 0

    @property
    def complaints(self) -> list[str]:
        return list(self._complaints)

    def replay(self, log: Path) -> Self:
        """Follow one run from its first call to its last."""
        for step in steps(log):
            call = step.call
            if call.name in SENDS:
                if not step.ends:
                    self._sends(call)
            elif not step.ends:
                self._disk.begins(call, step.thread)
            else:
                self._ends(call, step.thread)
        self._disk.process_ended()
        self._judge()
        return self

    def finished(self, tasks: int) -> Self:
        """The run said that all is done: all of it survives a power cut, and the model saw everything."""
        for words in self._disk.differences(self._name):
            self._complain(f"the model of the disk is blind: {words}")
        said = self._ledger(self._durable)
        if said.tasks != ("stored",) * tasks:
            self._complain(f"a finished run's ledger on the disk says {sorted(said.tasks)} {said.trouble}")
        lines = self._sure("manifest.jsonl") or b""
        named = sorted(json.loads(line)["file_name"] for line in lines.splitlines())
        if named != sorted(str(row.file_name) for row in said.pictures):
            self._complain(f"a finished run's manifest on the disk names {len(named)} of {tasks} pictures")
        if not self._sure("report.json"):
            self._complain("a finished run's report is not on the disk")
        return self

    def _ends(self, call: Call, thread: int) -> None:
        moves = call.name in SYNCS or call.name in _SHRINKS
        if moves:
            self._judge()
        self._disk.ends(call, thread)
        self.calls += call.result is not None and call.result >= 0 and self._disk.concerns(call)
        if moves:
            self._judge()

    def _sends(self, call: Call) -> None:
        """A request is about to leave: it has to stand in the ledger that survives in the worst case."""
        data = b"".join(call.strings)
        request = _REQUEST.match(data)
        if request is None:
            return
        if request[1] == b"POST":
            self.posts += 1
            key = _KEY.search(data)
            if key is None or key[1].decode() not in self._ledger(self._durable).sending:
                self._complain("a paid call left before its intent was on the disk")
            return
        self.gets += 1
        host = _HOST.search(data)
        assert host, "a download names its host"
        if f"http://{host[1].decode()}{request[2].decode()}" not in self._ledger(self._durable).urls:
            self._complain("a download left before its paid link was on the disk")

    def _judge(self) -> None:
        """What a power cut at this moment leaves, judged; nothing when nothing changed since the last time."""
        if self._disk.version == self._judged:
            return
        self._judged = self._disk.version
        for survives in (self._durable, self._seen, self._torn):
            self.states += 1
            said = self._ledger(survives)
            if said.trouble:
                self._complain(f"a ledger that cannot be read is left: {said.trouble}")
            for row in said.pictures:
                if row.state == "stored":
                    self._judge_stored(row)
                elif row.state == "waiting" and row.url is None:
                    self._judge_spooled(row)
        for _, file in self._disk.files_seen(f"{self._name}/images"):
            if not file.whole:
                self._complain("a final name was given before the picture was on the disk")

    def _judge_stored(self, row: Row) -> None:
        data = self._sure(str(row.file_name))
        if data is None:
            self._complain("a picture is stored and its name is not on the disk")
        elif _sha256(data) != row.sha256:
            self._complain("a picture is stored and its content is not on the disk")

    def _judge_spooled(self, row: Row) -> None:
        body = self._sure(f"spool/{row.spool}.body")
        if body is None:
            self._complain("a paid picture waits and the answer that holds it is not on the disk")
        elif not _holds_picture(body, row.item):
            self._complain("a paid picture waits and the answer that holds it is not whole on the disk")

    def _sure(self, name: str) -> bytes | None:
        return self._disk.sure(f"{self._name}/{name}")

    def _durable(self, name: str) -> bytes | None:
        file = self._disk.surviving(f"{self._name}/{name}")
        return None if file is None else file.durable or b""

    def _seen(self, name: str) -> bytes | None:
        file = self._file(name)
        return None if file is None else bytes(file.content)

    def _torn(self, name: str) -> bytes | None:
        file = self._file(name)
        return None if file is None else file.torn(self._choice)

    def _file(self, name: str) -> File | None:
        return self._disk.seen(f"{self._name}/{name}")

    def _ledger(self, survives: Survives) -> Said:
        files = tuple(survives(name) for name in _LEDGER_FILES)
        if files not in self._read:
            if len(self._read) > 8:
                self._read.clear()
            self._read[files] = _said(files)
        return self._read[files]

    def _complain(self, words: str) -> None:
        self._complaints[words] = None


def _said(files: tuple[bytes | None, ...]) -> Said:
    """What SQLite makes of the files of a ledger that a power cut left."""
    with tempfile.TemporaryDirectory(dir=_QUICK) as place:
        for name, content in zip(_LEDGER_FILES, files, strict=True):
            if content is not None:
                (Path(place) / name).write_bytes(content)
        try:
            with closing(sqlite3.connect(f"{place}/{_LEDGER}")) as ledger:
                return _rows(ledger)
        except sqlite3.Error as error:
            return Said(trouble=str(error))


def _rows(ledger: sqlite3.Connection) -> Said:
    if ledger.execute("PRAGMA user_version").fetchone() == (0,):
        return Said()  # nothing was written down yet
    check = ledger.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if check != "ok":
        return Said(trouble=check)
    pictures = ledger.execute("SELECT state, file_name, sha256, url, spool, item FROM pictures")
    rows = tuple(Row(*row) for row in pictures)
    return Said(
        sending=frozenset(
            key for (key,) in ledger.execute("SELECT idempotency_key FROM attempts WHERE state='sending'")
        ),
        urls=frozenset(row.url for row in rows if row.url is not None),
        pictures=rows,
        tasks=tuple(state for (state,) in ledger.execute("SELECT state FROM tasks")),
    )


@functools.lru_cache(64)  # the same files are judged again and again
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(64)
def _holds_picture(body: bytes, item: int) -> bool:
    try:
        return bool(base64.b64decode(json.loads(body)["data"][item]["b64_json"], validate=True))
    except (ValueError, LookupError, TypeError, binascii.Error):
        return False
