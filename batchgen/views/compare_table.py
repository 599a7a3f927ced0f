"""A comparison for a terminal or a pipe, and the same as JSON for programs: one object a pair, the summary last.

It refuses to compare, and to print.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchgen.outside import clean
from batchgen.views.columns import Page, aligned
from batchgen.views.compare import BITS, Comparison, Pair, states_of, words_of
from batchgen.views.compare_sides import Shot, Side
from batchgen.views.text import count, fit

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_SHOWN = 40
"""Rows of a table that a person reads; the page and `--json` have all."""
_SHOWN_ALONE = 10
_LABEL = 20


def comparison_table(comparison: Comparison) -> Page:
    """What changed, the most changed first; reads well at 80 columns without colour."""

    def build(width: int) -> "Sequence[RenderableType]":
        from rich.text import Text

        name = _naming(comparison)
        same = sum(pair.same_bytes for pair in comparison.pairs)
        lines: list[RenderableType] = [
            Text(f"A  {clean(comparison.a.folder, 1000)}"),
            Text(f"B  {clean(comparison.b.folder, 1000)}"),
            Text(),
            Text(headline(comparison), style="bold"),
            *(Text(clean(line, 400), style="yellow") for line in words_of(comparison)),
        ]
        shown = [pair for pair in comparison.pairs if not pair.same_bytes]
        if shown:
            lines += [Text(), *_rows(shown[:_SHOWN], comparison, width)]
        if len(shown) > _SHOWN:
            lines.append(Text(f"and {len(shown) - _SHOWN:,} more, less changed", style="dim"))
        if same:
            lines.append(
                Text(f"{count(same, 'pair')} more: the same bytes in both" if shown else "the same bytes in both")
            )
        for letter, side, alone in _alone(comparison):
            lines += [Text(line) for line in _only(letter, side, [name(shot) for shot in alone[:_SHOWN_ALONE]], alone)]
        return lines

    return Page(build)


def headline(comparison: Comparison) -> str:
    """The numbers in one line."""
    parts = [count(len(comparison.pairs), "pair")]
    parts.append(f"{comparison.changed:,} changed by more than {comparison.threshold} of {BITS} bits")
    resized = sum(pair.resized for pair in comparison.pairs)
    parts += [f"{resized:,} of another size"] if resized else []
    lacking = len(comparison.pairs) - comparison.compared
    parts += [f"{lacking:,} without two pictures"] if lacking else []
    return ", ".join(parts)


def comparison_lines(comparison: Comparison, page: str = "") -> Iterator[dict[str, Any]]:
    """One object for each pair, one for each picture in one folder alone, and the summary; `page` is where it lies."""
    for pair in comparison.pairs:
        yield _pair_json(pair, comparison)
    for letter, _side, alone in _alone(comparison):
        for shot in alone:
            yield {"kind": "only", "in": letter, **_asked(shot), "picture": _shot_json(shot)}
    yield _summary_json(comparison, page)


def _alone(comparison: Comparison) -> Iterable[tuple[str, Side, tuple[Shot, ...]]]:
    return ("A", comparison.a, comparison.only_a), ("B", comparison.b, comparison.only_b)


def _rows(pairs: Sequence[Pair], comparison: Comparison, width: int) -> "Sequence[Text]":
    """A line a pair, without the columns that say nothing."""
    titles = ("prompt", "model", "try", "bits", "file", "pixels", "state", "flags")
    columns = list(zip(*map(_cells, pairs), strict=True))
    several = (True, len(comparison.models()) > 1, any(pair.b.try_number > 1 for pair in comparison.pairs))
    kept = [index for index, column in enumerate(columns) if any(column) and (index > 2 or several[index])]
    texts = frozenset(place for place, index in enumerate(kept) if titles[index] not in {"try", "bits", "file"})
    rows = list(zip(*(columns[index] for index in kept), strict=True))
    return aligned([titles[index] for index in kept], rows, width, texts=texts, shortest=20)


def _cells(pair: Pair) -> tuple[str, ...]:
    a, b = pair.a, pair.b
    bits = "-" if pair.difference is None else str(pair.difference)
    pixels = f"{a.size} → {b.size}" if pair.resized else ""
    states = "" if a.state == b.state == "stored" else a.state if a.state == b.state else f"{a.state} → {b.state}"
    flags = " ".join(b.flags if b.flags == a.flags or not a.flags else (*a.flags, "→", *b.flags))
    attempt = f"{b.try_number}.{b.number}" if b.number > 1 else str(b.try_number)
    prompt, label = clean(b.prompt_id, 300), fit(clean(b.label, 80), _LABEL)
    return prompt, label, attempt, bits, _growth(pair), pixels, clean(states, 40), clean(flags, 60)


def _naming(comparison: Comparison) -> Callable[[Shot], str]:
    """Names a picture by as many words as tell it from all others."""
    shots = [pair.b for pair in comparison.pairs]
    many_models = len({each.label for each in shots}) > 1
    many_tries = len({each.try_number for each in shots}) > 1

    def name(shot: Shot) -> str:
        parts = [shot.prompt_id, *([shot.label] if many_models else [])]
        parts += [f"try {shot.try_number}"] if many_tries else []
        parts += [f"no. {shot.number}"] if shot.number > 1 else []
        return clean(" · ".join(parts), 300)

    return name


def _growth(pair: Pair) -> str:
    if pair.same_bytes:
        return "same"
    if not pair.a.bytes or not pair.b.bytes:
        return "-"
    percent = round((pair.b.bytes - pair.a.bytes) / pair.a.bytes * 100)
    return f"{percent:+,} %" if percent else "0 %"


def _only(letter: str, side: Side, names: Sequence[str], alone: Sequence[Shot]) -> Iterator[str]:
    if not alone:
        return
    states = ", ".join(f"{number:,} {clean(state, 20)}" for state, number in sorted(states_of(alone).items()))
    yield ""
    yield f"only in {letter} ({clean(side.name, 60)}): {states}"
    yield from (f"  {name}" for name in names)
    if len(alone) > len(names):
        yield f"  and {len(alone) - len(names):,} more"


def _pair_json(pair: Pair, comparison: Comparison) -> dict[str, Any]:
    return {
        "kind": "pair",
        **_asked(pair.b),
        "difference": pair.difference,
        "changed": pair.is_over(comparison.threshold),
        "same_bytes": pair.same_bytes,
        "resized": pair.resized,
        "a": _shot_json(pair.a),
        "b": _shot_json(pair.b),
    }


def _asked(shot: Shot) -> dict[str, Any]:
    return {
        "prompt_id": shot.prompt_id,
        "prompt": shot.prompt,
        "vars": dict(shot.variables),
        "model": shot.model,
        "label": shot.label,
        "try": shot.try_number,
        "number": shot.number,
    }


def _shot_json(shot: Shot) -> dict[str, Any]:
    names = ("task_id", "state", "seed", "night", "file_name", "width", "height", "bytes", "format", "source_sha256")
    facts: Mapping[str, Any] = {name: getattr(shot, name) for name in names}
    return {**facts, "flags": list(shot.flags), "reason": shot.reason}


def _summary_json(comparison: Comparison, page: str) -> dict[str, Any]:
    return {
        "kind": "summary",
        "a": str(comparison.a.folder),
        "b": str(comparison.b.folder),
        "paired_by": comparison.paired_by,
        "threshold": comparison.threshold,
        "pairs": len(comparison.pairs),
        "compared": comparison.compared,
        "changed": comparison.changed,
        "same_bytes": sum(pair.same_bytes for pair in comparison.pairs),
        "resized": sum(pair.resized for pair in comparison.pairs),
        "largest_difference": max((pair.difference or 0 for pair in comparison.pairs), default=0),
        "only_in_a": len(comparison.only_a),
        "only_in_b": len(comparison.only_b),
        "models": [
            {"label": each.label, "model": each.model, "compared": each.compared, "changed": each.changed}
            for each in comparison.models()
        ],
        "words": list(words_of(comparison)),
        "page": page,
    }
