"""Parquet tables of the stored pictures: the columns of the manifest, one for each variable, and the pictures themselves.

It owns the schema, which no row changes, and how much of it is in memory at a time. pyarrow is asked for here alone, and
may be missing. It refuses to guess types from values.
"""

import importlib
import json
import re
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from batchgen.errors import UsageError
from batchgen.views.chosen import Choice, Exported, chosen
from batchgen.views.export_columns import ENDINGS, columns, picture_name, values
from batchgen.views.export_folder import Draft, Layout, replacing_export

FOLDER: Final = "parquet"
LAYOUT = Layout("parquet", FOLDER, re.compile(r"pictures-\d{5,}\.parquet"))
IMAGE: Final = "image"
GROUP_ROWS = 2_000
GROUP_BYTES = 32_000_000
"""Pictures and texts that are held until they are written as one group of rows."""
FILE_BYTES = 1_000_000_000
_DTYPES = {str: "string", int: "int64", float: "float64"}


def export_parquet(
    connection: sqlite3.Connection, folder: Path, choice: Choice, output: Path, *, with_pictures: bool = True
) -> Exported:
    """Write the chosen pictures of an output folder as `parquet/pictures-00000.parquet`, … in `output`.

    The columns are the manifest's, `var:NAME` for each variable, and `image`, a struct of bytes and name that
    `datasets` shows as a picture; without pictures the table alone. Files of about a gigabyte, made of groups of rows of
    some 32 MB. Earlier files are replaced as a whole. Raises UsageError where pyarrow is missing, for a choice that
    fits nothing and for files that no export made, StorageError for disk and ledger.
    """
    arrow = _pyarrow()
    written = 0
    with (
        chosen(connection, folder, choice) as pictures,
        replacing_export(output, LAYOUT) as draft,
        _Table(arrow, draft, _schema(arrow, columns(pictures.variables), with_pictures=with_pictures)) as table,
    ):
        for row, facts in pictures:
            data = pictures.read(row) if with_pictures else b""
            if data is None:
                continue
            cells = values(row, facts, pictures.variables)
            name = f"{picture_name(row)}.{ENDINGS[row.format]}"
            size = len(data) + sum(len(cell) for cell in cells if type(cell) is str)
            table.add([*cells, {"bytes": data, "path": name}] if with_pictures else cells, size)
            written += 1
    return Exported(output / FOLDER, written, pictures.left_out, draft.replaced)


def _pyarrow() -> Any:
    """The library and its Parquet part, which comes without types. Raises UsageError when it is not there."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed", "pip install 'batchgen[parquet]'"
        ) from None


class _Table:
    """Rows on their way into files: collected into groups, the groups into files."""

    def __init__(self, arrow: Any, draft: Draft, schema: Any) -> None:
        self._arrow, self._draft, self._schema = arrow, draft, schema
        self._rows: list[list[Any]] = []
        self._bytes = self._files = 0
        self._stack = ExitStack()
        self._file: Any = None
        self._writer: Any = None

    def add(self, row: list[Any], size: int) -> None:
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._open()
        if self._rows:
            arrays = [
                self._arrow.array(list(column), field.type)
                for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._rows.clear()
            self._bytes = 0
            batch = self._arrow.record_batch(arrays, schema=self._schema)
            self._writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
        if self._file.tell() >= FILE_BYTES:
            self._stack.close()
            self._writer = None

    def _open(self) -> None:
        self._file = self._stack.enter_context(self._draft.new(f"pictures-{self._files:05}.parquet"))
        self._files += 1
        # Pictures are compressed already; a dictionary of them would only be built to be thrown away.
        texts = [field.name for field in self._schema if field.name != IMAGE]
        self._writer = self._stack.enter_context(
            self._arrow.parquet.ParquetWriter(
                self._file,
                self._schema,
                use_dictionary=texts,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and (self._rows or not self._files):
            self._flush()
        self._stack.close()


def _schema(pyarrow: Any, named: tuple[tuple[str, type], ...], *, with_pictures: bool) -> Any:
    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    features: dict[str, Any] = {name: {"dtype": _DTYPES[kind], "_type": "Value"} for name, kind in named}
    fields = [pyarrow.field(name, types[kind]) for name, kind in named]
    if with_pictures:
        fields.append(pyarrow.field(IMAGE, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])))
        features[IMAGE] = {"_type": "Image"}
    return pyarrow.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})
