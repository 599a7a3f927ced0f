"""From the entries of `prompts:` and the files that they name to rows.

It owns what a column means: itself (`id`, `model`, `seed`, `prompt`), a request field, or a variable of its row. File
formats are `tables.py`'s.
"""

import codecs
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchgen.catalog.catalog import Provider
from batchgen.spec import messages, names, template
from batchgen.spec.fields import from_text, is_path
from batchgen.spec.files import hidden_target
from batchgen.spec.job import PromptFile, Row, Seeds
from batchgen.spec.mistakes import Mistakes
from batchgen.spec.schema import PromptItem
from batchgen.spec.seeds import parse_seeds, parse_seeds_text
from batchgen.spec.syntax import but_not
from batchgen.spec.tables import KINDS, Allowance, Record, Table, read_table
from batchgen.spec.wording import harmless, listed, problem

LONGEST_PROMPT = 100_000
"""Characters, with variables and columns put in. Longer ones are files whose quotation marks do not match."""
MOST_FIXED_SEEDS = 1_000_000
"""Seeds that the prompts of a job name, all together."""
_MOST_PATTERNS = 1_000
_NOT_FOR_TEXT = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7", "undefined"})
"""Ways to write text inside of other text: no editor saves files in them."""
_OWN_WORDS = frozenset({"id", "model", "seed", "prompt"})
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row was written: its entry in the job file, and the line of the prompt file if it came from one."""

    loc: tuple[str | int, ...]
    file: str = ""
    line: int = 0
    sent: frozenset[str] = frozenset()
    """Fields that were columns of the file."""
    columns: frozenset[str] = frozenset()
    """All columns of the file, those whose cell is empty included."""
    shared_seeds: Seeds | None = None
    """Seeds of the entry, which all its rows share."""

    def note(self, mistakes: Mistakes, message: str, hint: str = "", *, kind: str, at: tuple[str, ...] = ()) -> None:
        """Note a mistake of the row, at a key of its entry where that is known."""
        in_entry = not self.file or (at and at[-1] not in self.sent and mistakes.document.holds((*self.loc, *at)))
        if not in_entry:
            mistakes.add_at(problem(self.file, self.line, 0, message, hint, kind))
        else:
            mistakes.add((*self.loc, *at), message, hint, kind=kind)


class RowReader:
    """Collects the rows of a job in the order of its entries."""

    def __init__(self, provider: Provider, folder: Path, mistakes: Mistakes) -> None:
        self.provider = provider
        self.folder = folder
        self.mistakes = mistakes
        self.rows: list[Row] = []
        self.origins: list[Origin] = []
        self.tables: list[tuple[Table, PromptItem, frozenset[str], range]] = []
        self._ids: dict[str, Origin] = {}
        self._shared: dict[str, Any] = {}
        self._known: dict[int, tuple[Any, Any]] = {}
        self._next: dict[str, int] = {}
        self._seeds = 0
        self._allowance = Allowance()

    def read(self, index: int, item: str | PromptItem) -> None:
        """Add what one entry of `prompts:` says."""
        loc = ("prompts", index)
        if isinstance(item, str):
            self._text(loc, item, PromptItem(prompt=item), loc)
        elif item.file is not None:
            self._file(loc, item)
        elif item.prompt is None:
            hint = "write `prompt:` with the text, or `file:` with a file of prompts"
            self.mistakes.add(loc, "this entry has no prompt", hint, kind="missing prompt")
        else:
            if item.encoding is not None:
                self.mistakes.add((*loc, "encoding"), "`encoding` goes with `file`", "delete it")
            self._text(loc, item.prompt, item, (*loc, "prompt"))

    def _text(self, loc: tuple[str | int, ...], text: str, item: PromptItem, at: tuple[str | int, ...]) -> None:
        messages.check_cut(self.mistakes, at, text)
        origin = Origin(loc)
        row_id = self.mistakes.document.raw((*loc, "id")) if item.id is not None else None
        models = (item.model,) if isinstance(item.model, str) else tuple(item.model) if item.model else None
        row = Row(
            id=row_id or "",
            prompt=text,
            params=item.params,
            extra_params=item.extra_params,
            models=models,
            seeds=self.seeds(item, loc),
            columns=_EMPTY,
            literal=item.literal,
            place=f"{Path(self.mistakes.document.file).name}:{self.mistakes.document.place(loc)[0]}",
        )
        self.add(row, origin)

    def seeds(self, item: PromptItem, loc: tuple[str | int, ...]) -> Seeds | None:
        """The seeds of an entry, if it names any."""
        if item.seed is None:
            return None
        try:
            return parse_seeds(item.seed)
        except ValueError as error:
            self.mistakes.add((*loc, "seed"), f"`seed` must be {error}{but_not(item.seed)}", kind="wrong seed")
            return None

    def add(self, row: Row, origin: Origin) -> None:
        """Give the row its id and keep it, unless its prompt is none."""
        if not row.prompt.strip():
            at = ("prompt",) if self.mistakes.document.raw((*origin.loc, "prompt")) is not None else ()
            origin.note(
                self.mistakes, "this prompt is empty", "write one, or delete the line", kind="empty prompt", at=at
            )
            return
        if len(row.prompt) > LONGEST_PROMPT:
            message = f"this prompt has {len(row.prompt):,} characters; {LONGEST_PROMPT:,} are the most"
            origin.note(self.mistakes, message, "is a quotation mark missing?", kind="prompt that is too long")
            return
        if row.seeds is not None and row.seeds is not origin.shared_seeds:
            self._seeds += len(row.seeds.fixed or ())
            if self._seeds > MOST_FIXED_SEEDS:
                message = f"the prompts of this job name more than {MOST_FIXED_SEEDS:,} seeds"
                origin.note(self.mistakes, message, "write `seed: {count: 4}`", kind="too many seeds")
                self.mistakes.raise_if_any()
        try:
            text = template.plain(row.prompt) if row.literal else template.parse(row.prompt)
        except template.TemplateError as error:
            origin.note(self.mistakes, str(error), kind="brace")
            return
        row_id = row.id
        if not row_id:
            row_id = self._free(names.default_row_id(text.filled(row.columns)))
        elif row_id in self._ids:
            first = self._ids[row_id]
            where = f"{first.file}:{first.line}" if first.file else f"line {self.mistakes.document.place(first.loc)[0]}"
            hint = f"the first stands in {where}; every prompt has an id of its own"
            origin.note(
                self.mistakes,
                f"the id `{row_id}` stands twice",
                hint,
                kind="id that stands twice",
                at=() if origin.file else ("id",),
            )
        self._ids.setdefault(row_id, origin)
        row = replace(
            row,
            id=row_id,
            params=self._share(row.params),
            extra_params=self._share(row.extra_params),
            models=None if row.models is None else self._share(row.models),
        )
        self.rows.append(row)
        self.origins.append(origin)

    def _share(self, value: Any) -> Any:
        """One object for all equal values: what rows have in common is prepared once."""
        if not value:
            return _EMPTY if isinstance(value, Mapping) else value
        if not isinstance(value, Mapping):
            return self._shared.setdefault(repr(value), value)
        known = self._known.get(id(value))
        if known is None:
            # The value is kept beside its twin: its address must not come to mean another one.
            known = self._known[id(value)] = value, self._shared.setdefault(repr(value), value)
        return known[1]

    def _free(self, row_id: str) -> str:
        if row_id not in self._ids:
            return row_id
        first = self._next.get(row_id, 2)
        numbers = range(first, first + len(self._ids) + 1)
        number = next(number for number in numbers if f"{row_id}-{number}" not in self._ids)
        self._next[row_id] = number + 1
        return f"{row_id}-{number}"

    def _file(self, loc: tuple[str | int, ...], item: PromptItem) -> None:
        path = self.folder / str(item.file)
        if path.suffix.lower() not in KINDS:
            hint = "prompt files end in " + ", ".join(KINDS)
            self.mistakes.add((*loc, "file"), f"no prompts can be read from {item.file}", hint, kind="prompt file")
            return
        if item.encoding is not None and not _known_encoding(item.encoding):
            message = f"there is no encoding {item.encoding}"
            self.mistakes.add((*loc, "encoding"), message, "such as utf-8, gb18030, cp1252", kind="encoding")
            return
        if not path.is_file():
            message, hint = f"there is no file {item.file}", f"looked for {path}"
            if path.exists():
                message, hint = f"{item.file} is no file of text", "a folder, a pipe or a device holds no prompts"
            self.mistakes.add((*loc, "file"), message, hint, kind="prompt file")
            return
        hidden = hidden_target(self.folder, str(item.file))
        if hidden is not None:
            message = f"{item.file} is a link to {hidden}, which the job does not say"
            hint = "if its lines are to be sent as prompts, write that path into the job"
            if hidden.startswith(("/proc/", "/sys/", "/dev/")):
                hint = "name a file of your own"
            self.mistakes.add((*loc, "file"), harmless(message), hint, kind="prompt file")
            return
        # In messages a path that the user's shell understands, in the job one that does not depend on it.
        shown = Path(self.mistakes.document.file).parent / os.path.relpath(path, self.folder)
        table = read_table(path, str(shown), item.encoding, self.mistakes.add_at, self._allowance)
        if not table.records and not self.mistakes.problems:
            self.mistakes.add((*loc, "file"), f"{item.file} holds no prompts", kind="prompt file")
        reader = _FileEntry(self, loc, item, table, path.parent)
        before = len(self.rows)
        for record in table.records:
            reader.read(record)
        self.tables.append((table, item, reader.sent, range(before, len(self.rows))))

    def prompt_files(self, used: frozenset[str]) -> tuple[PromptFile, ...]:
        """What became of the columns of every file; `used` are the names in fields and file names of the job."""
        result = []
        for table, item, sent, rows in self.tables:
            own = {name for text in _templates(item) for name in text.names}
            own |= {name for number in rows for name in _names_in(self.rows[number])}
            own |= {"prompt"} if item.prompt is None else set()
            own |= (_OWN_WORDS - {"prompt", "id"}) | ({"id"} if item.id is None else set()) | used
            rest = [name for name in table.columns if name not in sent]
            result.append(
                PromptFile(
                    path=str(item.file),
                    rows=len(rows),
                    sent=tuple(name for name in table.columns if name in sent),
                    variables=tuple(name for name in rest if name in own),
                    unused=tuple(name for name in rest if name not in own),
                )
            )
        return tuple(result)


def _templates(item: PromptItem) -> list[template.Template]:
    found = []
    for text in (item.prompt, item.id):
        if isinstance(text, str) and not (item.literal and text is item.prompt):
            try:
                found.append(template.parse(text))
            except template.TemplateError:
                continue
    for value in (item.params, item.extra_params):
        try:
            found.append(template.Template(("",), template.compile_value(value, literal=item.literal)[1]))
        except template.TemplateError:
            continue
    return found


def _names_in(row: Row) -> tuple[str, ...]:
    if row.literal or "{" not in row.prompt:
        return ()
    return template.parse(row.prompt).names


def _names_any(text: Any, names: frozenset[str]) -> bool:
    """Whether a text has one of these columns in it; what is no template is told elsewhere."""
    try:
        return isinstance(text, str) and not names.isdisjoint(template.parse(text).names)
    except template.TemplateError:
        return False


def _known_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name).name not in _NOT_FOR_TEXT and "a".encode(name).decode(name) == "a"
    except (LookupError, ValueError):
        return False


class _FileEntry:
    """One entry with `file:` and what it makes of each record."""

    def __init__(
        self, reader: RowReader, loc: tuple[str | int, ...], item: PromptItem, table: Table, folder: Path
    ) -> None:
        self.reader = reader
        self.loc = loc
        self.item = item
        self.table = table
        self.up = os.path.relpath(folder, reader.folder)
        fields = reader.provider.fields
        self.sent = frozenset(
            name for name in table.columns if name in fields and name not in _OWN_WORDS and item.prompt is None
        )
        self.columns = frozenset(table.columns)
        self.wanted = {name for text in _templates(item) for name in text.names}
        self.models = (item.model,) if isinstance(item.model, str) else tuple(item.model) if item.model else None
        self.seeds = reader.seeds(item, loc)
        self.merged: dict[str, dict[str, Any]] = {}
        self.id_text = reader.mistakes.document.raw((*loc, "id")) if item.id is not None else None

    def read(self, record: Record) -> None:
        """Add the row of one record."""
        origin = Origin(self.loc, self.table.shown, record.line, self.sent, self.columns, self.seeds)
        texts = {name: _as_text(value) for name, value in record.cells.items() if name not in self.sent}
        prompt = self.item.prompt if self.item.prompt is not None else texts.get("prompt", "")
        params = {**self._without_empty_pictures(record), **self._params(record)}
        columns = {name: text for name, text in texts.items() if name not in _OWN_WORDS or name in self.wanted}
        row = Row(
            id=self._id(texts, origin),
            prompt=prompt,
            params=self._merged(params) if params else self.item.params,
            extra_params=self.item.extra_params,
            models=self._models(record, texts),
            seeds=self._record_seeds(record, texts, origin),
            columns=columns or _EMPTY,
            literal=self.item.literal,
            place=f"{self.item.file}:{record.line}",
        )
        self.reader.add(row, origin)

    def _merged(self, params: dict[str, Any]) -> dict[str, Any]:
        """The entry's fields with a record's on top; records that say the same share one mapping."""
        key = repr(params)
        if key not in self.merged:
            self.merged[key] = {**self.item.params, **params}
        return self.merged[key]

    def _without_empty_pictures(self, record: Record) -> dict[str, Any]:
        """Lists of pictures without those whose column is empty: one row has a second picture, the next has none."""
        empty = self.columns - record.cells.keys()
        shorter = {}
        for name, value in self.item.params.items():
            if not empty or self.item.literal or not self._is_list_of_pictures(name):
                continue
            parts = value if isinstance(value, list) else value.split("|") if isinstance(value, str) else []
            kept = [part for part in parts if not _names_any(part, empty)]
            if kept and len(kept) < len(parts):
                shorter[name] = kept
        return shorter

    def _is_list_of_pictures(self, name: str) -> bool:
        field = self.reader.provider.fields.get(name)
        return field is not None and field.type == "pictures"

    def _params(self, record: Record) -> dict[str, Any]:
        params = {}
        for name in self.sent & record.cells.keys():
            field, value = self.reader.provider.fields[name], record.cells[name]
            if isinstance(value, str):
                value = from_text(field, value) if self.item.literal or "{" not in value else value
            if field.type in {"picture", "pictures"}:
                self._refuse_hidden(value, record)
                value = self._from_here(value)
            params[name] = value
        return {name: params[name] for name in self.table.columns if name in params}

    def _refuse_hidden(self, value: Any, record: Record) -> None:
        """A picture is what its path says: no link that came with a table leads to another of this machine."""
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, str) or not is_path(item):
                continue
            hidden = hidden_target(self.reader.folder / self.up, item)
            if hidden is not None:
                message = f"the picture {item} is a link to {hidden}, which the table does not say"
                Origin((*self.loc, "file"), self.table.shown, record.line).note(
                    self.reader.mistakes, harmless(message), "write that path into the table", kind="hidden picture"
                )
                return

    def _from_here(self, value: Any) -> Any:
        """A path in a file is relative to the file: written anew, relative to the job."""
        if isinstance(value, list):
            return [self._from_here(item) for item in value]
        if not isinstance(value, str) or self.up == "." or not is_path(value) or Path(value).is_absolute():
            return value
        up = self.up if self.item.literal else self.up.replace("{", "{{").replace("}", "}}")
        return f"{up}/{value}"

    def _id(self, texts: Mapping[str, str], origin: Origin) -> str:
        if self.id_text is None:
            return texts.get("id", "").strip()
        try:
            return template.parse(self.id_text).render(texts).strip()
        except template.TemplateError as error:
            self.reader.mistakes.add((*self.loc, "id"), str(error), kind="brace")
        except KeyError as error:
            name = error.args[0]
            if name in self.table.columns:
                origin.note(self.reader.mistakes, f"the column `{name}` is empty, and `id` needs it", kind="empty cell")
            else:
                hint = f"columns are: {listed(self.table.columns)}"
                message = f"`id` names {{{name}}}, which is no column of {self.item.file}"
                self.reader.mistakes.add((*self.loc, "id"), message, hint, kind="unknown column")
        return ""

    def _models(self, record: Record, texts: Mapping[str, str]) -> tuple[str, ...] | None:
        value = record.cells.get("model")
        if isinstance(value, list):
            return tuple(_as_text(item) for item in value)
        if value is None:
            return self.models
        return tuple(part.strip() for part in texts["model"].split("|", _MOST_PATTERNS) if part.strip())

    def _record_seeds(self, record: Record, texts: Mapping[str, str], origin: Origin) -> Seeds | None:
        value = record.cells.get("seed")
        if value is None:
            return self.seeds
        try:
            return parse_seeds_text(texts["seed"]) if isinstance(value, str) else parse_seeds(value)
        except ValueError as error:
            origin.note(self.reader.mistakes, f"`seed` must be {error}{but_not(value)}", kind="wrong seed")
            return None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
