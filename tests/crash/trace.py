"""The system calls of one run, as strace writes them down: which began, which ended, with what.

`tracer` is the command that writes the log and `steps` reads it back. Only calls that change files, sync them
or send bytes are traced. It refuses to know what the calls mean for a disk: that is `forgetful.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYNCS = ("fsync", "fdatasync")
SENDS = ("sendto", "sendmsg")
CHANGES = (
    *("openat", "write", "pwrite64", "ftruncate", "fallocate"),
    *("link", "linkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"),
)
FOREIGN = ("writev", "pwritev", "pwritev2", "copy_file_range", "truncate", "symlinkat", "sync_file_range")
"""Calls that the model does not know; one that touches the output folder is said loudly."""

_OPTIONS = ("-f", "-y", "-xx", "-s", "16777216")
"""Threads too; paths of descriptors; every string in hexadecimal and whole."""
_DESCRIPTOR = re.compile(r"^(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_WHOLE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)$", re.DOTALL)
_UNFINISHED = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """One system call; `result` is None until it has ended, and negative when the system refused."""

    name: str
    text: str
    """The arguments as strace writes them."""
    result: int | None = None
    tail: str = ""
    """What strace writes after the result: the path of a new descriptor, or the words of an error."""

    @property
    def arguments(self) -> list[str]:
        """The arguments, each as strace writes it; only of calls without structures."""
        return self.text.split(", ")

    @property
    def strings(self) -> list[bytes]:
        """The strings among the arguments."""
        assert '"...' not in self.text, f"strace cut a string of {self.name}"
        return [_bytes(text) for text in self.text.split('"')[1::2]]

    def descriptor(self, place: int) -> tuple[int, str]:
        """The number and path of the descriptor at a place among the arguments; AT_FDCWD is -100."""
        return _descriptor(self.arguments[place])

    @property
    def opened(self) -> tuple[int, str]:
        """The number and path of the descriptor that the call returned."""
        return _descriptor(f"{self.result}{self.tail}")


@dataclass(frozen=True, slots=True)
class Step:
    """A call at its beginning or at its end; a call that nothing interrupts has both, one after the other."""

    ends: bool
    call: Call
    thread: int


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _descriptor(text: str) -> tuple[int, str]:
    found = _DESCRIPTOR.match(text)
    assert found, f"no descriptor: {text[:80]}"
    number = -100 if found[1] == "AT_FDCWD" else int(found[1])
    return number, _bytes(found[2]).decode() + text[found.end() :]


def tracer(log: Path) -> list[str]:
    """The strace command that writes the calls of a run into `log`; for `Bench.run`."""
    names = ",".join((*SYNCS, *SENDS, *CHANGES, *(f"?{name}" for name in FOREIGN)))
    return ["strace", *_OPTIONS, "-o", str(log), "-e", f"trace={names}"]


def steps(log: Path) -> Iterator[Step]:
    """The beginnings and ends of all calls, in the order in which strace saw them."""
    begun: dict[int, Call] = {}
    with log.open(encoding="ascii") as file:
        for line in file:
            number, _, text = line.rstrip("\n").partition(" ")
            thread, text = int(number), text.lstrip()
            if found := _UNFINISHED.match(text):
                begun[thread] = Call(found[1], found[2])
                yield Step(ends=False, call=begun[thread], thread=thread)
                continue
            if found := _RESUMED.match(text):
                call = begun.pop(thread)
                assert call.name == found[1], f"strace's log is out of step: {call.name}, then {found[1]}"
                text = f"{call.name}({call.text}{found[2]}"
            elif text.startswith(("+++", "---")):
                continue
            whole = _WHOLE.match(text)
            assert whole, f"a line of strace that is not understood: {text[:120]}"
            result = -1 if whole[3] == "?" else int(whole[3])  # killed in the middle of it
            call = Call(whole[1], whole[2].removesuffix(" <unfinished ...>"), result, whole[4])
            if not found:
                yield Step(ends=False, call=call, thread=thread)
            yield Step(ends=True, call=call, thread=thread)
