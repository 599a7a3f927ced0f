"""The same pictures in two output folders: which of them changed, by how much, and what is in one folder alone.

A pair is the same task in both, else the same words of the job. How different two pictures look is counted in bits of
their difference hashes, of 64. It refuses to show anything (`compare_table`, `compare_page`) and to write.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from batchgen.errors import UsageError
from batchgen.storage.looks import difference
from batchgen.views.compare_sides import Shot, Side

THRESHOLD = 8
"""Bits of 64 that may differ before a picture counts as changed: another encoding or a repaired speck moves a few,
another picture moves twenty to forty."""
BITS = 64
_MODELS_SHOWN = 8

PairedBy = Literal["task", "words"]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same wish in A and in B."""

    a: Shot
    b: Shot
    difference: int | None
    """Bits of 64; None when one of the two has no picture that can be read."""

    @property
    def same_bytes(self) -> bool:
        """Whether the provider sent the very same file twice."""
        return (
            self.a.state == self.b.state == "stored" and bool(self.a.source_sha256) and _sent(self.a) == _sent(self.b)
        )

    @property
    def resized(self) -> bool:
        """Whether both have a picture, of different sizes in pixels."""
        return bool(self.a.size and self.b.size) and self.a.size != self.b.size

    @property
    def same_seed(self) -> bool:
        """Whether the model was asked for the same with the same seed."""
        return self.a.task_id == self.b.task_id

    def is_over(self, threshold: int) -> bool:
        """Whether the two look different by more than `threshold` bits."""
        return self.difference is not None and self.difference > threshold


@dataclass(frozen=True, slots=True)
class ModelCount:
    """How many pairs of one model could be compared, and how many of them changed."""

    label: str
    model: str
    compared: int
    changed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two folders side by side; pairs are in order of change, the most changed first."""

    a: Side
    b: Side
    paired_by: PairedBy
    threshold: int
    pairs: tuple[Pair, ...]
    only_a: tuple[Shot, ...]
    only_b: tuple[Shot, ...]

    @property
    def changed(self) -> int:
        """How many pairs look different by more than the threshold."""
        return sum(pair.is_over(self.threshold) for pair in self.pairs)

    @property
    def compared(self) -> int:
        """How many pairs have two pictures that can be looked at."""
        return sum(pair.difference is not None for pair in self.pairs)

    def models(self) -> list[ModelCount]:
        """Every model that was compared, the most changed first."""
        counts: dict[tuple[str, str], list[int]] = {}
        for pair in self.pairs:
            if pair.difference is not None:
                count = counts.setdefault((pair.b.label, pair.b.model), [0, 0])
                count[0] += 1
                count[1] += pair.is_over(self.threshold)
        found = [ModelCount(*names, *count) for names, count in counts.items()]
        return sorted(found, key=lambda each: (-each.changed / each.compared, each.label))


def compare(a: Side, b: Side, threshold: int = THRESHOLD) -> Comparison:
    """Pair what two folders hold. Raises UsageError when they have nothing in common.

    Pairs are equal task ids and picture numbers: the same request with the same seed. Without a single one (another
    night, another seed, another provider) they are equal prompt ids, else equal prompt texts, of the same model label,
    variables, try and number; of several nights in one folder the last is taken first.
    """
    paired_by: PairedBy = "task"
    found, only_a, only_b = _match(a.shots, b.shots, _task_key)
    if not found:
        paired_by = "words"
        found, only_a, only_b = _match(_last_night_first(a.shots), _last_night_first(b.shots), _id_key)
        more, only_a, only_b = _match(only_a, only_b, _text_key)
        found += more
    if not found:
        raise UsageError(
            f"{a.folder} and {b.folder} have no picture in common: no task, and no prompt with the same model and try",
            "name two output folders of the same job, such as two nights of it",
        )
    pairs = [Pair(one, other, _difference(a, one, b, other)) for one, other in found]
    pairs.sort(key=lambda pair: _order(pair, threshold))
    in_order = [tuple(sorted(rest, key=lambda shot: (shot.index, shot.number))) for rest in (only_a, only_b)]
    return Comparison(a, b, paired_by, threshold, tuple(pairs), *in_order)


def _match(
    first: Iterable[Shot], second: Iterable[Shot], key: Callable[[Shot], object]
) -> tuple[list[tuple[Shot, Shot]], list[Shot], list[Shot]]:
    """Those with equal keys in pairs, and what is left of each side."""
    waiting: dict[object, list[Shot]] = {}
    for shot in second:
        waiting.setdefault(key(shot), []).append(shot)
    for shots in waiting.values():
        shots.reverse()
    pairs, alone = [], []
    for shot in first:
        partners = waiting.get(key(shot))
        if partners:
            pairs.append((shot, partners.pop()))
        else:
            alone.append(shot)
    return pairs, alone, [shot for shots in waiting.values() for shot in shots]


def _task_key(shot: Shot) -> object:
    return shot.task_id, shot.number


def _id_key(shot: Shot) -> object:
    return shot.prompt_id, shot.label, shot.variables, shot.try_number, shot.number


def _text_key(shot: Shot) -> object:
    return shot.prompt, shot.label, shot.variables, shot.try_number, shot.number


def _last_night_first(shots: Sequence[Shot]) -> list[Shot]:
    return sorted(shots, key=lambda shot: shot.night, reverse=True)


def _difference(a: Side, one: Shot, b: Side, other: Shot) -> int | None:
    if one.state != "stored" or other.state != "stored":
        return None
    if one.source_sha256 and _sent(one) == _sent(other):
        return 0
    looks = a.look(one), b.look(other)
    return None if looks[0] is None or looks[1] is None else difference(looks[0], looks[1])


def _sent(shot: Shot) -> tuple[str, int, int]:
    """What the provider sent, so far as a ledger can be believed."""
    return shot.source_sha256, shot.width, shot.height


def _order(pair: Pair, threshold: int) -> tuple[float, ...]:
    """By change; a picture that is there in one folder alone comes right after those that look different."""
    vanished = pair.a.state != pair.b.state
    bits = pair.difference if pair.difference is not None else (threshold + 0.5 if vanished else -1)
    return (-bits, not pair.resized, pair.same_bytes, pair.b.index, pair.b.number)


def words_of(comparison: Comparison) -> Iterator[str]:
    """What the numbers mean, in a few sentences: how pairs were made, and what changed for each model."""
    if comparison.paired_by == "words":
        seeds = "other seeds, so other pictures are to be expected"
        if all(pair.a.seed == pair.b.seed for pair in comparison.pairs):
            seeds = "the seeds are the same"
        yield f"No task is in both folders: paired by prompt, model, variables and try instead ({seeds})."
    changed = [each for each in comparison.models() if each.changed]
    if changed:
        shown = [f"{each.label}: {each.changed:,} of {each.compared:,}" for each in changed[:_MODELS_SHOWN]]
        shown += [f"and {len(changed) - _MODELS_SHOWN} models more"] if len(changed) > _MODELS_SHOWN else []
        same_seed = all(pair.a.seed == pair.b.seed for pair in comparison.pairs)
        asked = "Same seed, other picture: did the provider change the model?" if same_seed else "Changed pairs:"
        yield f"{asked} {'; '.join(shown)}{' pairs changed' if same_seed else ''}"


def states_of(shots: Iterable[Shot]) -> Mapping[str, int]:
    """How many of some pictures are in which state."""
    counts: dict[str, int] = {}
    for shot in shots:
        counts[shot.state] = counts.get(shot.state, 0) + 1
    return counts
