"""What one prompt asks of one model: fields merged by precedence, canonical, and ready for its variables.

It owns precedence (job < model < row < `--set`), what is left out because a model does not take it, and which variables a
row multiplies over. It refuses to know tries, seeds and ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from batchgen.catalog.catalog import Field
from batchgen.spec import matching, template
from batchgen.spec.fields import MissingPictureError, PictureBook, from_text
from batchgen.spec.job import Job, ModelUse, Row
from batchgen.spec.syntax import but_not
from batchgen.spec.task import begin_id

Source = Literal["job", "model", "row", "set"]
_CACHE_SIZE = 4096


def layers(job: Job, use: ModelUse, row: Row) -> dict[str, tuple[Any, Source]]:
    """Every field that was written for this prompt and model, with the place that wins."""
    merged: dict[str, tuple[Any, Source]] = {name: (value, "job") for name, value in job.params.items()}
    merged.update((name, (value, "model")) for name, value in use.params.items())
    merged.update((name, (value, "row")) for name, value in row.params.items())
    merged.update((name, (value, "set")) for name, value in job.set_params.items())
    return merged


@dataclass(frozen=True, slots=True)
class Moving:
    """A field whose value depends on variables or columns."""

    field: Field
    source: Source
    tree: Any
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bad:
    """A field that cannot be sent: where it was written, its name, and why."""

    source: Source
    name: str
    error: ValueError


class Cell:
    """One prompt under one model. What cannot be sent is kept in `bad`; such a cell makes no task."""

    __slots__ = (
        "_begun",
        "_book",
        "_cache",
        "_extra",
        "bad",
        "extra_names",
        "fixed",
        "left_out",
        "moving",
        "names",
        "use",
    )

    def __init__(self, job: Job, use: ModelUse, row: Row, book: PictureBook) -> None:
        self.use = use
        self.bad: list[Bad] = []
        self.fixed: dict[str, Any] = {}
        self.left_out: tuple[str, ...] = ()
        self._book = book
        self._cache: dict[tuple[str, str], Any] = {}
        moving: list[Moving] = []
        for name, (value, source) in layers(job, use, row).items():
            field = use.model.fields.get(name)
            if field is None:
                self.left_out += (name,) if source != "model" else ()
                continue
            try:
                tree, names = template.compile_value(value, literal=row.literal and source == "row")
                if names:
                    moving.append(Moving(field, source, tree, names))
                else:
                    self.fixed[name] = book.canonical(field, tree)
            except ValueError as error:
                self.bad.append(Bad(source, name, error))
        self.moving = tuple(moving)
        self._begun = ""
        self._extra, self.extra_names = self._compile_extra(job, row)
        used = [name for part in moving for name in part.names]
        self.names = tuple(dict.fromkeys([*used, *self.extra_names]))

    def _compile_extra(self, job: Job, row: Row) -> tuple[dict[str, Any], tuple[str, ...]]:
        merged: dict[str, tuple[Any, Source]] = {name: (value, "job") for name, value in job.extra_params.items()}
        merged.update((name, (value, "model")) for name, value in self.use.extra_params.items())
        merged.update((name, (value, "row")) for name, value in row.extra_params.items())
        trees: dict[str, Any] = {}
        used: list[str] = []
        for name, (value, source) in merged.items():
            try:
                trees[name], names = template.compile_value(value, literal=row.literal and source == "row")
                used.extend(names)
            except template.TemplateError as error:
                self.bad.append(Bad(source, name, error))
        return trees, tuple(used)

    def params(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """The canonical fields with variables and columns put in. Raises ValueError for a value that does not fit."""
        if self.bad:
            raise self.bad[0].error
        if not self.moving:
            return self.fixed
        result = dict(self.fixed)
        for part in self.moving:
            result[part.field.name] = self.moved(part, values)
        return result

    def moved(self, part: Moving, values: Mapping[str, str]) -> Any:
        """One field with variables and columns put in, canonical. Raises ValueError for a value that does not fit."""
        rendered = template.render_value(part.tree, values)
        if not isinstance(rendered, str):
            return self._book.canonical(part.field, rendered)
        key = (part.field.name, rendered)
        if key not in self._cache:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            try:
                self._cache[key] = self._book.canonical(part.field, from_text(part.field, rendered))
            except MissingPictureError:
                raise
            except ValueError as error:
                raise ValueError(f"{error}{but_not(rendered)}") from None
        return self._cache[key]

    def extra_params(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """The undocumented fields with variables and columns put in."""
        if not self.extra_names:
            return self._extra
        rendered: dict[str, Any] = template.render_value(self._extra, values)
        return rendered

    def begun_id(self, values: Mapping[str, str]) -> str:
        """`begin_id` of this cell's tasks."""
        if self.names:
            return begin_id(self.use.model.id, self.params(values), self.extra_params(values))
        if not self._begun:
            self._begun = begin_id(self.use.model.id, self.params({}), self._extra)
        return self._begun


class Cells:
    """The cells of every row of a job, in the order of its models. Rows that share their fields share their cells."""

    def __init__(self, job: Job, book: PictureBook | None = None) -> None:
        self._job = job
        self._book = book or PictureBook(job.path.parent, dict(job.pictures))
        self._known: dict[tuple[int, int, int, bool], tuple[Cell, ...]] = {}

    def of(self, row: Row) -> tuple[Cell, ...]:
        """What `row` asks of each model that it is for."""
        key = (id(row.params), id(row.extra_params), id(row.models), row.literal)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            uses = matching.uses_for(row, self._job.models)
            found = tuple(Cell(self._job, use, row, self._book) for use in uses)
            self._known[key] = found
        return found
