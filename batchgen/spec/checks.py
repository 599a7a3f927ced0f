"""Checks what each prompt asks of each model, before anything is sent: names, values, required fields, input pictures.

It owns the messages about them. It refuses to change the job, other than by what it learned from the pictures.
"""

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from batchgen.spec import matching, names, template
from batchgen.spec.cells import Cell, Cells, Moving, Source
from batchgen.spec.expand import axes_of
from batchgen.spec.fields import MissingPictureError, PictureBook
from batchgen.spec.job import Job, ModelUse, PromptFile, Row
from batchgen.spec.mistakes import Mistakes
from batchgen.spec.prompts import LONGEST_PROMPT, Origin
from batchgen.spec.seeds import tries
from batchgen.spec.syntax import but_not
from batchgen.spec.wording import listed, nearest, problem

MOST_TASKS = 1_000_000
"""Of one job, excluded and equal ones included: all of them are walked over to plan."""
MOST_LOOKS = 20_000_000
"""Tasks times the rules of `exclude`, each of which is held against each of them."""
MOST_TEXTS = 1_000_000
"""Prompts with their variables put in, of one job."""
MOST_VALUES = 100_000
"""Of one request field with variables in it."""
LONGEST_VALUE = 50_000_000
"""Characters of a request field with variables put in: room for a picture as a data URI."""
MOST_PATTERNS = 1_000
"""Different ones of all prompts: each costs as much as many prompts."""
_LONGEST_NUMBER = 40
_CACHE_SIZE = 4096


def without_seeds(row: Row) -> Row:
    """The row without seeds of its own: `--set seed=…` wins over them."""
    return replace(row, seeds=None)


def finished(job: Job, pictures: Mapping[str, str], files: Sequence[PromptFile], warnings: tuple[str, ...]) -> Job:
    """The job with what was learned on the way."""
    return replace(job, pictures=pictures, files=tuple(files), warnings=warnings)


def not_json(value: Any) -> str:
    """What in `value` has no JSON form; empty when all has."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return "a number without a value (.inf or .nan)"
    return ""


class Checker:
    """One look at every row under every model."""

    def __init__(
        self,
        job: Job,
        origins: Sequence[Origin],
        model_locs: Mapping[str, tuple[str | int, ...]],
        mistakes: Mistakes,
        book: PictureBook,
    ) -> None:
        self.job = job
        self.origins = origins
        self.model_locs = model_locs
        self.mistakes = mistakes
        self.cells = Cells(job, book)
        self.told: set[int] = set()
        self.row = job.rows[0] if job.rows else None
        self.origin = origins[0] if origins else Origin(())
        self.use: ModelUse | None = None
        self.used: set[str] = set()
        self.tasks = self.texts = 0
        self.longest = {name: max(map(len, texts.values()), default=0) for name, texts in job.variables.items()}
        self.blank = {name for name, texts in job.variables.items() if not all(map(str.strip, texts.values()))}
        self.patterns: set[str] = set()
        self.seen: dict[tuple[int, str], Cell] = {}

    def check(self) -> frozenset[str]:
        """Note every mistake; the names of variables and columns that prompts, fields and file names use."""
        self._untaken()
        self._excluded_words()
        for row, origin in zip(self.job.rows, self.origins, strict=True):
            self.row, self.origin = row, origin
            self._row(row, origin)
            if self.tasks > MOST_TASKS or self.texts > MOST_TEXTS:
                self._too_much()
                break
            if self.tasks * len(self.job.exclude) > MOST_LOOKS:
                message = f"{len(self.job.exclude):,} rules of `exclude` for {self.tasks:,} tasks and more"
                self.mistakes.add(("exclude",), message, "make fewer rules of them, or several jobs", kind="too much")
                break
        self._file_names()
        return frozenset(self.used)

    def _row(self, row: Row, origin: Origin) -> None:
        text = template.plain(row.prompt) if row.literal else template.parse(row.prompt)
        self.used.update(text.names)
        self._unknown_names(row, text.names, ("prompt",), "the prompt")
        self._empty_when_filled(row, text)
        longest = text.longest(self._lengths(row, text.names))
        if longest > LONGEST_PROMPT:
            message = f"the prompt of {row.id} has up to {longest:,} characters with its variables put in"
            self.origin.note(self.mistakes, message, f"{LONGEST_PROMPT:,} are the most", kind="long prompt")
        if row.models is not None and "models" not in self.mistakes.damaged:
            self._patterns(row, origin)
        own = text.filled(row.columns).names
        all_axes: set[str] = set()
        for cell in self.cells.of(row):
            self.use = cell.use
            axes = axes_of(self.job, row, own, cell)
            all_axes.update(axes)
            self.tasks += self._combinations(axes) * tries(row.seeds or self.job.seeds)
            self.used.update(cell.names)
            if self._excluded(row, cell.use, {}):
                continue
            self._required(row, origin, cell)
            for bad in cell.bad:
                # Rows share cells: what the first of them was told of, the others need not be.
                if id(bad) not in self.told:
                    self.told.add(id(bad))
                    self._bad_field(bad.source, bad.name, bad.error)
            for part in cell.moving:
                at = ("params", part.field.name)
                if self._unknown_names(row, part.names, at, f"`{part.field.name}`", part.source):
                    self._moving(row, cell, part, axes)
            self._unknown_names(row, cell.extra_names, ("extra_params",), "`extra_params`")
        self.texts += self._combinations(all_axes)

    def _lengths(self, row: Row, used: Iterable[str]) -> dict[str, int]:
        """How long what is put in for a name can be."""
        return {name: len(row.columns[name]) if name in row.columns else self.longest.get(name, 0) for name in used}

    def _combinations(self, axes: Iterable[str]) -> int:
        return math.prod(len(self.job.variables[axis]) for axis in axes)

    def _too_much(self) -> None:
        most, what = (MOST_TASKS, "tasks") if self.tasks > MOST_TASKS else (MOST_TEXTS, "different prompts")
        found = max(self.tasks, self.texts)
        number = f"at least {found:,}" if found < 10**15 else "more than 10^15"
        message = f"this job comes to {number} {what}; {most:,} are the most"
        hint = "variables multiply one another: name fewer in a prompt, or make several jobs of it"
        self.origin.note(self.mistakes, message, hint, kind="too many tasks")

    def _unknown_names(
        self, row: Row, used: Sequence[str], at: tuple[str, ...], what: str, source: Source = "row"
    ) -> bool:
        """Note names that are neither variables nor columns of the row; whether all are known."""
        good = True
        for name in used:
            if name in row.columns or name in self.job.variables:
                continue
            good = False
            if "vars" in self.mistakes.damaged:
                continue
            if name in self.origin.columns:
                message, hint = f"the column `{name}` is empty here, and {what} needs it", "fill it in"
                self.origin.note(self.mistakes, message, hint, kind="empty cell")
                continue
            known = [*self.job.variables, *row.columns]
            near = nearest(name, known)
            hint = f"did you mean {{{near}}}?" if near else f"write {{{{{name}}}}} for braces, or add it to `vars`"
            message = f"{what} names {{{name}}}, which is no variable and no column"
            self._note_at(source, at, message, hint, kind="unknown variable")
        return good

    def _note_at(self, source: Source, at: tuple[str, ...], message: str, hint: str, *, kind: str) -> None:
        if source == "row":
            self.origin.note(self.mistakes, message, hint, kind=kind, at=at)
        elif source == "job":
            self.mistakes.add(at, message, hint, kind=kind)
        elif source == "set":
            self.mistakes.add_at(problem(f"--set {at[-1]}", 0, 0, message, hint, kind))
        else:
            assert self.use is not None
            self.mistakes.add((*self.model_locs[self.use.label], *at), message, hint, kind=kind)

    def _empty_when_filled(self, row: Row, text: template.Template) -> None:
        if any(literal.strip() for literal in text.literals) or not text.names:
            return
        if all(name in self.blank and name not in row.columns for name in text.names):
            message = f"the prompt of {row.id} is empty with some values of its variables"
            self.origin.note(self.mistakes, message, kind="emptied prompt", at=("prompt",))

    def _patterns(self, row: Row, origin: Origin) -> None:
        for pattern in row.models or ():
            if matching.is_wild(pattern):
                self.patterns.add(pattern)
            if len(self.patterns) > MOST_PATTERNS:
                message = f"the prompts of this job name their models with more than {MOST_PATTERNS:,} patterns"
                origin.note(
                    self.mistakes, message, "write models by their ids", kind="too many patterns", at=("model",)
                )
                self.mistakes.raise_if_any()
            if not any(matching.fits_model(use, pattern) for use in self.job.models):
                known = [name for use in self.job.models for name in (use.label, use.model.id)]
                near = nearest(pattern, known)
                hint = f"did you mean {near}?" if near else f"models of the job: {listed(known[::2])}"
                message = f"`model: {pattern}` is none of the job's models"
                origin.note(self.mistakes, message, hint, kind="model pattern", at=("model",))

    def _required(self, row: Row, origin: Origin, cell: Cell) -> None:
        have = {*cell.fixed, *(part.field.name for part in cell.moving), *(bad.name for bad in cell.bad), "prompt"}
        for name in sorted(cell.use.model.required - have):
            message = f"{cell.use.label} needs `{name}`, and the prompt {row.id} has none"
            hint = f"write `params: {{{name}: …}}` in it, or keep it from this model with `model:` or `exclude:`"
            origin.note(self.mistakes, message, hint, kind="missing field")

    def _moving(self, row: Row, cell: Cell, part: Moving, axes: Sequence[str]) -> None:
        moving = [axis for axis in axes if axis in part.names]
        key = (id(cell), part.field.name)
        if not self.job.exclude and row.columns.keys().isdisjoint(part.names):
            if self.seen.get(key) is cell:
                return
            if len(self.seen) >= _CACHE_SIZE:
                self.seen.clear()
            self.seen[key] = cell
        if self._combinations(moving) > MOST_VALUES:
            message = f"`{part.field.name}` has more than {MOST_VALUES:,} values with its variables put in"
            self._note_at(part.source, ("params", part.field.name), message, "name fewer in it", kind="many values")
            return
        if template.longest_value(part.tree, self._lengths(row, part.names)) > LONGEST_VALUE:
            message = f"`{part.field.name}` has more than {LONGEST_VALUE:,} characters with its variables put in"
            self._note_at(part.source, ("params", part.field.name), message, kind="long value", hint="name fewer in it")
            return
        for shorts, values in self._choices(moving):
            if self._excluded(row, cell.use, shorts):
                continue
            try:
                cell.moved(part, {**values, **row.columns})
            except ValueError as error:
                self._bad_field(part.source, part.field.name, error)

    def _choices(self, axes: list[str]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        for choice in itertools.product(*(self.job.variables[axis].items() for axis in axes)):
            pairs = list(zip(axes, choice, strict=True))
            yield {axis: short for axis, (short, _) in pairs}, {axis: text for axis, (_, text) in pairs}

    def _excluded(self, row: Row, use: ModelUse, shorts: Mapping[str, str]) -> bool:
        facts = {**row.columns, **shorts, "row": row.id}
        return any(
            all(
                matching.fits_model(use, pattern) if key == "model" else matching.fits(facts.get(key, "\0"), pattern)
                for key, pattern in rule.items()
            )
            for rule in self.job.exclude
        )

    def _bad_field(self, source: Source, name: str, error: ValueError) -> None:
        assert self.row is not None
        assert self.use is not None
        if isinstance(error, MissingPictureError):
            message, hint, kind = f"{error} (prompt {self.row.id}, model {self.use.label})", "", "missing picture"
        elif isinstance(error, template.TemplateError):
            message, hint, kind = f"`{name}`: {error}", "", "brace"
        else:
            field = self.job.provider.fields.get(name)
            written = self._written(source, name)
            text_for_number = field is not None and field.type in {"int", "float"} and isinstance(written, str)
            shown = but_not(f'"{written}"' if text_for_number else written)
            filled_in = isinstance(written, str) and "{" in written
            picture = field is not None and field.type in {"picture", "pictures"} and isinstance(written, str)
            message = f"`{name}` must be {error}{'' if filled_in else shown}"
            kind = "filled-in value" if filled_in else "picture" if picture else "wrong value"
            hint = _better(field.type, written) if field else ""
        self._note_at(source, ("params", name), message, hint, kind=kind)

    def _written(self, source: Source, name: str) -> Any:
        assert self.row is not None
        places = {"job": self.job.params, "row": self.row.params, "set": self.job.set_params}
        return places.get(source, self.use.params if self.use else {}).get(name)

    def _untaken(self) -> None:
        """Note fields that no model of the job takes."""
        if "models" in self.mistakes.damaged or not self.job.models:
            return
        taken = {name for use in self.job.models for name in use.model.fields}
        known = self.job.provider.fields
        for name in self.job.params:
            if name in known and name not in taken:
                self.mistakes.add(
                    ("params", name), f"no model of this job takes `{name}`", kind="untaken field", key=True
                )
        for name in self.job.set_params:
            if name not in taken:
                self.mistakes.add_at(problem(f"--set {name}", 0, 0, f"no model of this job takes `{name}`"))
        for row, origin in zip(self.job.rows, self.origins, strict=True):
            for name in row.params:
                if name in known and name not in taken:
                    message = f"no model of this job takes `{name}`"
                    origin.note(self.mistakes, message, kind="untaken field", at=("params", name))

    def _excluded_words(self) -> None:
        columns = matching.columns_of(self.job)
        known = [*matching.TASK_WORDS, *self.job.variables, *sorted(columns)]
        rows = dict.fromkeys(row.id for row in self.job.rows)
        for index, entry in enumerate(self.job.exclude):
            for key, pattern in entry.items():
                values: Collection[str] | None = None
                if key not in known:
                    if "vars" not in self.mistakes.damaged:
                        near = nearest(key, known)
                        hint = f"did you mean `{near}`?" if near else f"known are: {listed(known)}"
                        self.mistakes.add(("exclude", index), f"the job has no `{key}`", hint, kind="exclude")
                elif key == "model" and "models" not in self.mistakes.damaged:
                    values = [name for use in self.job.models for name in (use.label, use.model.id)]
                elif key == "row":
                    values = rows
                elif key in self.job.variables and key not in columns:
                    values = self.job.variables[key]
                if values is not None and not matching.fits_any(values, pattern):
                    near = nearest(pattern, values)
                    hint = f"did you mean {near}?" if near else f"known are: {listed(values)}"
                    self.mistakes.add(
                        ("exclude", index, key), f"`{key}: {pattern}` matches nothing", hint, kind="exclude"
                    )

    def _file_names(self) -> None:
        try:
            used = names.parse_name(self.job.output.name).names
        except template.TemplateError as error:
            self.mistakes.add(("output", "name"), str(error), kind="brace")
            return
        known = [*names.NAME_WORDS, *self.job.variables, *sorted(matching.columns_of(self.job))]
        for name in sorted(used - {*known}):
            near = nearest(name, known)
            hint = f"did you mean {{{near}}}?" if near else f"known are: {listed(known)}"
            self.mistakes.add(("output", "name"), f"a file name cannot hold {{{name}}}", hint, kind="file name")
        self.used.update(used)


def _better(kind: str, written: Any) -> str:
    """The value that was meant, where that is plain to see."""
    if kind == "size" and isinstance(written, str) and len(written) <= _LONGEST_NUMBER:
        plain = "".join("x" if char in "×*X✕" else char for char in written if not char.isspace())
        if plain != written and plain.replace("x", "", 1).isdigit():
            return f"write: {plain}"
    if kind in {"int", "float"} and isinstance(written, str) and len(written) <= _LONGEST_NUMBER:
        plain = written.replace("_", "").replace(",", ".")
        try:
            float(plain)
        except ValueError:
            return ""
        return f"write it as a number: {plain}"
    return ""
