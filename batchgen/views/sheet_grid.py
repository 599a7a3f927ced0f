"""Where each picture of a contact sheet stands: the axes, their values in the order of the plan, and what is missing.

Every place of the grid holds one picture: what varies beside the axes that were named becomes part of the rows. It
refuses to know sizes in pixels, and to read files.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.errors import UsageError
from batchgen.outside import clean
from batchgen.spec.names import slug
from batchgen.spec.wording import harmless, listed, nearest
from batchgen.storage.manifest import ManifestRow

AXES = ("prompt", "row", "model", "try", "seed", "night")
"""What may stand at rows and columns beside the variables."""
_VARIABLE = "var:"
_NUMBER = "picture"
_SPREAD = ("model", "try", "night", _NUMBER, "seed")
"""What becomes a part of the rows, in this order, while two pictures would stand in one place."""
_TOGETHER = ("prompt", "model", "try", "night", _NUMBER, "seed")
"""The order of pictures that follow each other: those of one prompt stand together."""
_PROMPT_AT_MOST = 600
_DENSE = 0.4
"""From which share of filled places on a grid is easier to read than pictures in a row with their names below."""

_NOUNS = (
    ("prompt", "prompt", "prompts"),
    ("model", "model", "models"),
    ("try", "try", "tries"),
    ("night", "night", "nights"),
)
_DIGITS = re.compile(r"[0-9a-f]{4}")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a sheet, or what there is instead of one."""

    facts: Mapping[str, Any]
    """What was asked for: the manifest's columns up to `params`, and `picture`."""
    row: ManifestRow | None = None
    """The stored picture; None for one that is not there."""
    flags: tuple[str, ...] = ()
    state: str = ""
    """In words, for a picture that is not there."""
    reason: str = ""

    def value(self, axis: str) -> str:
        """Where the frame stands on an axis."""
        if axis == "prompt":
            return str(self.facts["prompt_id"])
        if axis == "model":
            return str(self.facts["label"])
        if axis.startswith(_VARIABLE):
            return str(self.facts["vars"].get(axis.removeprefix(_VARIABLE), ""))
        return str(self.facts.get(axis, ""))


@dataclass(frozen=True, slots=True)
class Label:
    """What is written beside a row, above a column or below a picture: a line in bold, and more below it."""

    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """Frames by row and column. Without columns the frames follow each other, each with its own label."""

    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    frames: Mapping[tuple[int, int], Frame]
    """By row and column, from 0."""
    words: str
    """What stands on the axes, such as `4 prompts × 2 models`."""

    @property
    def flows(self) -> bool:
        """Whether the frames follow each other, as many in a row as there is room for."""
        return not self.columns


def check_axes(axes: Sequence[str], variables: Iterable[str]) -> tuple[str, ...]:
    """Axes as the user wrote them, in the words of this module. Raises UsageError for one that no picture has."""
    names = {name.lower(): f"{_VARIABLE}{name}" for name in variables}
    known = {**{f"{_VARIABLE}{name}": axis for name, axis in names.items()}, **names, **{axis: axis for axis in AXES}}
    checked = []
    for written in axes:
        axis = known.get(written.strip().lower())
        if axis is None:
            near = nearest(written.lower(), known)
            hint = f"did you mean {near}?" if near else f"axes are: {listed([*AXES, *names])}"
            raise UsageError(harmless(f"there is no axis {written}"), harmless(hint))
        checked.append(axis)
    return tuple(dict.fromkeys(checked))


def make_grid(frames: Sequence[Frame], rows: Sequence[str], columns: Sequence[str]) -> Grid:
    """The grid of some frames, which are in the order of the plan; axes that nobody named are chosen."""
    named = bool(rows or columns)
    if not named:
        rows, columns = ("prompt",), ("model", "try")
    elif not columns:
        columns = tuple(axis for axis in ("model", "try") if axis not in rows)
    elif not rows:
        rows = tuple(axis for axis in ("prompt",) if axis not in columns)
    rows = _spread(frames, rows, columns)
    columns = _varying(frames, columns) or tuple(columns[:1])
    row_keys, column_keys = _values(frames, rows), _values(frames, columns)
    dense = len(frames) >= _DENSE * len(row_keys) * len(column_keys)
    keys, words = _keys(frames, rows, columns), _words(frames)
    in_line = len(column_keys) == 1 or len(row_keys) == 1 or len(set(keys)) < len(frames)
    if in_line or not (named or dense):
        beside = _values(frames, _TOGETHER)
        frames = sorted(frames, key=lambda frame: beside[_key(frame, _TOGETHER)])
        words = words.replace(" × ", ", ")
        return Grid(_captions(frames), (), {(place, 0): frame for place, frame in enumerate(frames)}, words)
    placed = {(row_keys[row], column_keys[column]): frame for frame, (row, column) in zip(frames, keys, strict=True)}
    return Grid(_labels(frames, rows, row_keys), _labels(frames, columns, column_keys), placed, words)


def _key(frame: Frame, axes: Sequence[str]) -> Key:
    return tuple(frame.value(axis) for axis in axes)


def _keys(frames: Sequence[Frame], rows: Sequence[str], columns: Sequence[str]) -> list[tuple[Key, Key]]:
    return [(_key(frame, rows), _key(frame, columns)) for frame in frames]


def _spread(frames: Sequence[Frame], rows: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The rows with as much added as it takes for each picture to have a place of its own."""
    places = len(set(_keys(frames, rows, columns)))
    variables = dict.fromkeys(f"{_VARIABLE}{name}" for frame in frames for name in frame.facts["vars"])
    # A prompt's id names its variables, too: where one of them has an axis, the rows are those of the job.
    prompts = ("row", *variables) if any(axis in variables for axis in (*rows, *columns)) else ("prompt",)
    for axis in (*prompts, *_SPREAD):
        if places == len(frames):
            break
        wider = (*rows, axis)
        found = len(set(_keys(frames, wider, columns)))
        if found > places and axis not in columns:
            rows, places = wider, found
    varying = _varying(frames, rows)
    return varying or tuple(rows[:1])


def _varying(frames: Sequence[Frame], axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(axis for axis in axes if len({frame.value(axis) for frame in frames}) > 1)


def _values(frames: Sequence[Frame], axes: Sequence[str]) -> dict[Key, int]:
    """Every value and its place: those that come first in the plan come first."""
    firsts: list[dict[str, int]] = [{} for _ in axes]
    for frame in frames:
        for axis, order in zip(axes, firsts, strict=True):
            order.setdefault(frame.value(axis), len(order))
    keys = {_key(frame, axes) for frame in frames}
    ordered = sorted(keys, key=lambda key: tuple(order[value] for order, value in zip(firsts, key, strict=True)))
    return {key: place for place, key in enumerate(ordered)}


def _labels(frames: Sequence[Frame], axes: Sequence[str], keys: Mapping[Key, int]) -> tuple[Label, ...]:
    first: dict[Key, Frame] = {}
    prompts: dict[Key, set[str]] = {}
    for frame in frames:
        key = _key(frame, axes)
        first.setdefault(key, frame)
        prompts.setdefault(key, set()).add(str(frame.facts["prompt"]))
    labels = []
    for key in keys:
        parts = [_said(axis, first[key]) for axis in axes]
        is_one = len(prompts[key]) == 1 and not {"prompt", "row"}.isdisjoint(axes)
        labels.append(Label(" · ".join(part for part in parts if part), _prompt(first[key]) if is_one else ""))
    return tuple(labels)


def _captions(frames: Sequence[Frame]) -> tuple[Label, ...]:
    """What tells the pictures from each other when nothing stands beside them."""
    axes = _varying(frames, ("model", "try", "night", _NUMBER)) or ("prompt",)
    return tuple(
        Label(" · ".join(part for part in (_said(axis, frame) for axis in axes) if part), _prompt(frame))
        for frame in frames
    )


def _prompt(frame: Frame) -> str:
    return clean(frame.facts["prompt"], _PROMPT_AT_MOST)


def _said(axis: str, frame: Frame) -> str:
    """A value as it is written in a label; an id that was made from the prompt itself adds nothing to it."""
    value = frame.value(axis)
    if not value and axis.startswith(_VARIABLE):
        return "–"
    if axis in {"try", "seed", _NUMBER}:
        return f"{axis} {clean(value, 40)}"
    if axis in {"prompt", "row"} and _is_made_up(frame):
        row = str(frame.facts["row"])
        if axis == "row":
            return clean(row[:-5].replace("-", " "), 120)
        return clean(value.removeprefix(row).strip(".").replace(".", " · "), 120)
    return clean(value, 120)


def _is_made_up(frame: Frame) -> bool:
    """Whether the row's id is the one that a prompt gets when nobody gives it one: its words and four hex digits."""
    words, hyphen, digits = str(frame.facts["row"]).rpartition("-")
    said = set(slug(str(frame.facts["prompt"]), _PROMPT_AT_MOST).split("-"))
    return bool(hyphen and _DIGITS.fullmatch(digits)) and set(words.split("-")) <= said


def _words(frames: Sequence[Frame]) -> str:
    parts = []
    for axis, noun, plural in _NOUNS:
        number = len({frame.value(axis) for frame in frames})
        if number > 1 or axis in {"prompt", "model"}:
            parts.append(f"{number:,} {noun if number == 1 else plural}")
    return " × ".join(parts)
