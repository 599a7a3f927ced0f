"""Which installed font shows which character: found through fontconfig or in the folders where systems keep fonts.

It reads the fonts' own tables of characters, since a font draws a box for what it lacks and says nothing. It refuses to
draw, and to look for anything on the network.
"""

import functools
import shutil
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
_PLACES = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "~/.local/share/fonts",
    "~/.fonts",
)
_PREFERRED = (  # the beginnings of file names, in small letters; texts first, then scripts, then pictures
    *("inter-regular", "notosans-regular", "helveticaneue", "helvetica", "arial.", "liberationsans-regular"),
    *("roboto-regular", "opensans-regular", "dejavusans.", "freesans."),
    *("notosanscjk-regular", "notosanscjksc-regular", "sourcehansans", "pingfang", "hiragino sans gb", "hiragino"),
    *("stheiti", "arial unicode", "wqy-microhei", "wqy-zenhei", "droidsansfallback", "applesdgothicneo"),
)
_EMOJI = ("notocoloremoji", "notoemoji", "apple color emoji", "twemoji", "joypixels")
_OTHER_STYLES = (
    "bold",
    "italic",
    "oblique",
    "light",
    "thin",
    "black",
    "medium",
    "condensed",
    "mono",
    "serif",
    "lastresort",
)
_SIMPLIFIED = 2
"""Which face of a Noto or Source Han collection is for simplified Chinese; the first is for Japanese."""
_MOST_FACES = 400
_LARGEST_TABLE = 4 * 1024**2
_FIND_S = 10


@dataclass(frozen=True, slots=True)
class Face:
    """One font of a file; `index` is its place in a collection."""

    path: str
    index: int = 0

    @property
    def is_emoji(self) -> bool:
        """Whether its characters are small coloured pictures."""
        return Path(self.path).name.lower().startswith(_EMOJI)

    def shows(self, character: str) -> bool:
        """Whether the font has a glyph of its own for the character."""
        return _characters(self).has(ord(character))


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Characters as ranges without gaps: where each begins and ends."""

    first: Sequence[int]
    last: Sequence[int]

    def has(self, code: int) -> bool:
        place = bisect_right(self.first, code) - 1
        return place >= 0 and code <= self.last[place]


def installed_faces() -> tuple[Face, ...]:
    """The fonts of this machine in the order in which they are asked for a character; none where there are none."""
    return faces_of(_files())


def faces_of(files: Sequence[str]) -> tuple[Face, ...]:
    """Fonts out of files, the best for reading first and emoji last; what is no font of a known kind is passed over."""
    known = {file for file in files if Path(file).suffix.lower() in _SUFFIXES}
    ordered = sorted(known, key=lambda file: (_rank(file), file))[:_MOST_FACES]
    return tuple(Face(file, _index(file)) for file in ordered)


def _files() -> list[str]:
    program = shutil.which("fc-list")
    if program is not None:
        try:
            listed = subprocess.run(  # noqa: S603  # the program of that name that the user has
                [program, "--format", "%{file}\n"], capture_output=True, check=True, timeout=_FIND_S
            )
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            found = listed.stdout.decode("utf-8", "surrogateescape").splitlines()
            if found:
                return found
    return [str(file) for place in _PLACES for file in _below(Path(place).expanduser())]


def _below(folder: Path) -> Iterator[Path]:
    try:
        yield from (file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    except OSError:
        return


def _rank(file: str) -> int:
    name = Path(file).name.lower()
    if name.startswith(_EMOJI):
        return len(_PREFERRED) + 2
    for rank, preferred in enumerate(_PREFERRED):
        if name.startswith(preferred):
            return rank
    return len(_PREFERRED) + any(style in name for style in _OTHER_STYLES)


def _index(file: str) -> int:
    name = Path(file).name.lower()
    return _SIMPLIFIED if name.endswith("c") and name.startswith(("notosanscjk", "notoserifcjk", "sourcehans")) else 0


@functools.lru_cache(maxsize=_MOST_FACES)
def _characters(face: Face) -> _Ranges:
    """What a font can show; nothing for a file that cannot be read or is damaged."""
    try:
        return _merged(_read_ranges(face))
    except (OSError, struct.error, ValueError):
        return _Ranges((), ())


def _merged(ranges: list[tuple[int, int]]) -> _Ranges:
    first: list[int] = []
    last: list[int] = []
    for start, stop in sorted(ranges):
        if last and start <= last[-1] + 1:
            last[-1] = max(last[-1], stop)
        else:
            first.append(start)
            last.append(stop)
    return _Ranges(first, last)


def _read_ranges(face: Face) -> list[tuple[int, int]]:
    with Path(face.path).open("rb") as file:
        start = 0
        if file.read(4) == b"ttcf":
            file.seek(12 + 4 * face.index)
            (start,) = struct.unpack(">I", file.read(4))
        file.seek(start + 4)
        (tables,) = struct.unpack(">H", file.read(2))
        file.seek(start + 12)
        for _ in range(tables):
            tag, _sum, offset, length = struct.unpack(">4sIII", file.read(16))
            if tag == b"cmap":
                file.seek(offset)
                return _ranges_of(file.read(min(length, _LARGEST_TABLE)))
    return []


def _ranges_of(table: bytes) -> list[tuple[int, int]]:
    """The ranges of the richest part of a font's `cmap` table that is of a kind in use."""
    (count,) = struct.unpack_from(">H", table, 2)
    parts = {}
    for place in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * place)
        (kind,) = struct.unpack_from(">H", table, offset)
        if platform in {0, 3} and (platform, encoding) != (3, 0) and kind in {4, 12}:
            parts[kind] = offset
    if 12 in parts:
        return _format_12(table, parts[12])
    return _format_4(table, parts[4]) if 4 in parts else []


def _format_12(table: bytes, offset: int) -> list[tuple[int, int]]:
    (groups,) = struct.unpack_from(">I", table, offset + 12)
    groups = min(groups, (len(table) - offset - 16) // 12)
    found = struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * groups])
    return [(start, stop) for start, stop, glyph in found if stop >= start and (glyph or start != stop)]


def _format_4(table: bytes, offset: int) -> list[tuple[int, int]]:
    (segments,) = struct.unpack_from(">H", table, offset + 6)
    segments //= 2
    columns = [struct.unpack_from(f">{segments}H", table, offset + 14)]
    columns += [struct.unpack_from(f">{segments}H", table, offset + 16 + 2 * segments * part) for part in (1, 2, 3)]
    glyphs = offset + 16 + 6 * segments
    ranges = []
    for place, (stop, start, delta, way) in enumerate(zip(*columns, strict=True)):
        if way == 0:
            missing = -delta & 0xFFFF  # the one character that this segment would lead to glyph 0
            ranges += [(start, min(stop, missing - 1)), (max(start, missing + 1), stop)] if missing else [(start, stop)]
            continue
        begin = glyphs + 2 * place + way
        ids = table[begin : begin + 2 * (stop - start + 1)]
        ranges += [(start + at, start + at) for at in range(len(ids) // 2) if ids[2 * at : 2 * at + 2] != b"\0\0"]
    return [(start, stop) for start, stop in ranges if start <= stop < 0xFFFF]
