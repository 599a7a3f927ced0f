"""From a job to its tasks, one after another: every try of every prompt under every model.

It owns the order of the plan, the position of a task in it, and that equal tasks come once. Tasks are made one at a
time and none is kept. It refuses to know which of them are done.
"""

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from batchgen.errors import UsageError
from batchgen.spec import matching, names, seeds, template
from batchgen.spec.cells import Cell, Cells
from batchgen.spec.job import Job, Row
from batchgen.spec.task import UNHASHED_FIELDS, Task, finish_id


def expand(
    job: Job,
    *,
    night: str,
    labels: Container[str] | None = None,
    limit: int | None = None,
    only: Mapping[str, str] | None = None,
) -> Iterator[Task]:
    """The tasks of `job`: try slowest, then prompt, then model.

    `night` is the date of the night for renewed seeds ("" when nothing is renewed). `only` narrows the plan by model,
    row, prompt_id, seed, try, a variable or a column; `limit` takes the first tasks of what is left. `labels` makes the
    tasks of those models alone, and neither their positions nor the limit change by it.
    Raises UsageError for an `only` that the job does not have.
    """
    chosen = matching.check_only(job, only) if only else {}
    if not night and seeds.job_renew(job) != "never":
        raise UsageError(
            "the seeds of this job are renewed each night, and no night was named", "name one with --night"
        )
    return _Expansion(job, night, labels, chosen).tasks(limit)


def axes_of(job: Job, row: Row, own: tuple[str, ...], cell: Cell) -> tuple[str, ...]:
    """The variables that a row multiplies over under one model: its prompt's (`own`) as they come, then its fields'."""
    if not own and not cell.names:
        return ()
    used = dict.fromkeys([*own, *(name for name in job.variables if name in cell.names)])
    return tuple(name for name in used if name in job.variables and name not in row.columns)


class Prompt:
    """A row made ready: its text with columns filled in, its cells, and the variables that it multiplies over."""

    __slots__ = ("axes", "cells", "row", "text")

    def __init__(self, job: Job, row: Row, cells: tuple[Cell, ...]) -> None:
        self.row = row
        whole = template.plain(row.prompt) if row.literal else template.parse(row.prompt)
        self.text = whole.filled(row.columns) if row.columns else whole
        own = self.text.names
        self.cells = tuple([(cell, axes_of(job, row, own, cell) if own or cell.names else ()) for cell in cells])
        self.axes = tuple(dict.fromkeys([name for _, axes in self.cells for name in axes]))

    def variants(self, variables: Mapping[str, Mapping[str, str]]) -> "Iterator[Variant]":
        """Every combination of the row's variables; the last one changes fastest."""
        for choice in itertools.product(*(variables[axis].items() for axis in self.axes)):
            pairs = list(zip(self.axes, choice, strict=True))
            values = {**self.row.columns, **{axis: text for axis, (_, text) in pairs}}
            yield Variant(self, {axis: short for axis, (short, _) in pairs}, values)


class Variant:
    """A row with one value for each of its variables."""

    __slots__ = ("_named", "prompt", "shorts", "text", "values")

    def __init__(self, prompt: Prompt, shorts: Mapping[str, str], values: Mapping[str, str]) -> None:
        self.prompt = prompt
        self.shorts = shorts
        self.values = values
        self.text = prompt.text.render(values)
        self._named: dict[tuple[str, ...], tuple[str, Mapping[str, str], dict[str, str]]] = {}

    def named(self, axes: tuple[str, ...], owner: "_Expansion") -> tuple[str, Mapping[str, str], dict[str, str]]:
        """For a task that uses `axes`: the prompt id, its variables, and the words that they give to a file name."""
        found = self._named.get(axes)
        if found is None:
            row = self.prompt.row
            prompt_id = ".".join([row.id, *[owner.short_ids[axis][self.shorts[axis]] for axis in axes]])
            chosen = {**{axis: self.shorts[axis] for axis in axes}, **row.columns}
            words = {name: owner.clean(chosen[name]) for name in owner.named if name in chosen}
            words["prompt_id"], words["row"] = owner.clean(prompt_id), owner.clean(row.id)
            found = self._named[axes] = prompt_id, chosen, words
        return found


class _Place(NamedTuple):
    """One position of the plan before anything is said about it."""

    try_number: int
    seed: int
    night: str
    variant: Variant
    cell: Cell
    axes: tuple[str, ...]


class _Expansion:
    """One walk over the plan, with everything about the job that is worth preparing once."""

    def __init__(self, job: Job, night: str, labels: Container[str] | None, only: Mapping[str, str]) -> None:
        self.job = job
        self.night = night
        self.labels = labels
        self.only = only
        self.cells = Cells(job)
        self.name = names.parse_name(job.output.name, ascii=job.output.ascii)
        self.named = self.name.names - {*names.NAME_WORDS}
        self.short_ids = {axis: names.short_ids(shorts) for axis, shorts in job.variables.items()}
        self.clean_labels = {use.label: self.clean(use.label) for use in job.models}
        self.exclude = {
            use.label: [entry for entry in job.exclude if matching.fits_model(use, entry.get("model", "*"))]
            for use in job.models
        }

    def clean(self, text: str) -> str:
        """`text` as a part of a file name."""
        return names.clean_part(text, self.job.output.ascii)

    def tasks(self, limit: int | None) -> Iterator[Task]:
        """The tasks, made when they are asked for."""
        seen: set[bytes] | None = set() if self._may_repeat() else None
        index = given = 0
        for place in self._places():
            label = place.cell.use.label
            rules = self.exclude[label]
            if rules and any(self._fits(place, rule) for rule in rules):
                continue
            wanted = self.labels is None or label in self.labels
            key = self._id(place) if wanted or seen is not None else ""
            if seen is not None:
                digest = bytes.fromhex(key[:32])
                if digest in seen:
                    continue
                seen.add(digest)
            index += 1
            if self.only and not self._fits(place, self.only):
                continue
            if limit is not None and given >= limit:
                return
            given += 1
            if wanted:
                yield self._task(place, key, index)

    def _places(self) -> Iterator[_Place]:
        """Every place of the plan in order, excluded and equal ones included."""
        rows: Sequence[Row] = self.job.rows
        for try_number in itertools.count(1):
            # Rows that are through are let go: one with many seeds must not make all the others be looked at as often.
            rows = [row for row in rows if try_number <= seeds.tries(row.seeds or self.job.seeds)]
            if not rows:
                return
            for row in rows:
                wanted = row.seeds or self.job.seeds
                prompt = Prompt(self.job, row, self.cells.of(row))
                night = seeds.night_for(wanted.renew, self.night)
                seed = seeds.seed_of(wanted, prompt.text.anonymous, try_number, night)
                for variant in prompt.variants(self.job.variables):
                    for cell, axes in prompt.cells:
                        yield _Place(try_number, seed, night, variant, cell, axes)

    def _may_repeat(self) -> bool:
        """Whether two tasks of the plan can be equal: when not, none has to be remembered to find out.

        Tasks whose prompts differ are different; so are tries of one prompt, and models unless one stands twice.
        """
        ids = [use.model.id for use in self.job.models]
        twice = len(set(ids)) < len(ids)
        texts: set[int] = set()
        for row in self.job.rows:
            prompt = Prompt(self.job, row, self.cells.of(row))
            if twice and not _all_differ([cell for cell, _ in prompt.cells]):
                return True
            for variant in prompt.variants(self.job.variables):
                mark = hash(variant.text)
                if mark in texts:
                    return True
                texts.add(mark)
        return False

    def _id(self, place: _Place) -> str:
        begun = place.cell.begun_id(place.variant.values)
        return finish_id(begun, self.job.identity, place.variant.text, place.seed)

    def _task(self, place: _Place, key: str, index: int) -> Task:
        variant, use = place.variant, place.cell.use
        prompt_id, chosen, words = variant.named(place.axes, self)
        words["model"] = self.clean_labels[use.label]
        words["seed"], words["id"] = str(place.seed), key[:8]
        words["try"], words["index"], words["night"] = str(place.try_number), str(index), place.night
        return Task(
            task_id=key,
            provider=self.job.identity,
            model=use.model.id,
            label=use.label,
            prompt=variant.text,
            seed=place.seed,
            params=place.cell.params(variant.values),
            extra_params=place.cell.extra_params(variant.values),
            prompt_id=prompt_id,
            row=variant.prompt.row.id,
            vars=chosen,
            try_number=place.try_number,
            index=index,
            night=place.night,
            name=names.task_name(self.name, words),
        )

    def _fits(self, place: _Place, rule: Mapping[str, str]) -> bool:
        """Whether all that a rule of `exclude:` or `--only` says is true of one place."""
        return all(self._fact(place, key, pattern) for key, pattern in rule.items())

    def _fact(self, place: _Place, key: str, pattern: str) -> bool:
        row = place.variant.prompt.row
        if key == "model":
            return matching.fits_model(place.cell.use, pattern)
        if key == "row":
            return matching.fits(row.id, pattern)
        if key == "prompt_id":
            return matching.fits(place.variant.named(place.axes, self)[0], pattern)
        if key in {"seed", "try"}:
            return matching.fits(str(place.seed if key == "seed" else place.try_number), pattern)
        if key in place.axes:
            return matching.fits(place.variant.shorts[key], pattern)
        return key in row.columns and matching.fits(row.columns[key], pattern)


def _all_differ(cells: list[Cell]) -> bool:
    """Whether no two of the cells can ask the same of the same model."""
    return all(
        first.use.model.id != second.use.model.id or _differ(first, second)
        for first, second in itertools.combinations(cells, 2)
    )


def _differ(first: Cell, second: Cell) -> bool:
    moving = {part.field.name for cell in (first, second) for part in cell.moving}
    fixed = (first.fixed.keys() | second.fixed.keys()) - moving - UNHASHED_FIELDS
    return any(first.fixed.get(name) != second.fixed.get(name) for name in fixed)
