"""Reads exports with the programs that they are made for, in a process of its own, and prints what it found as JSON.

They are slow to import, start threads, and read the environment: none of that belongs into the process of the tests.
"""

import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Found = list[dict[str, Any]]


def read_all(cache: Path, wanted: Sequence[tuple[str, Path]]) -> list[Any]:
    """For each reader and path: the rows, and (of `datasets`) the name of the split and its types."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cache),
        "LANG": "C.UTF-8",
        "HF_HOME": str(cache),
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        # Every warning is an error but those about syntax, which the compiler gives for other people's modules.
        "PYTHONWARNINGS": "error,ignore::SyntaxWarning",
    }
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([(reader, str(path)) for reader, path in wanted]),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _picture(data: bytes) -> dict[str, Any]:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        pixels = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
        return {"sha256": hashlib.sha256(data).hexdigest(), "size": image.size, "pixels": pixels}


def _of_datasets(reader: str, path: str) -> Any:
    datasets: Any = importlib.import_module("datasets")  # all three come without types

    if reader == "folder":
        loaded = datasets.load_dataset(path)
    elif reader == "webdataset":
        loaded = datasets.load_dataset(reader, data_files=path)
    else:
        loaded = datasets.load_dataset(reader, data_dir=path)
    splits = {}
    for name, split in loaded.items():
        rows = []
        raw = split
        for column, feature in split.features.items():
            if isinstance(feature, datasets.Image):
                raw = raw.cast_column(column, datasets.Image(decode=False))
        for row, pictures in zip(raw, split, strict=True):
            for column, value in pictures.items():
                if hasattr(value, "tobytes"):
                    value.load()  # the reader's own decoding has to work, too
                    held = row[column]
                    row[column] = _picture(held["bytes"] or Path(held["path"]).read_bytes())
            rows.append(row)
        splits[name] = {"rows": rows, "types": {column: str(kind) for column, kind in split.features.items()}}
    return splits


def _of_pyarrow(path: str) -> Any:
    parquet: Any = importlib.import_module("pyarrow.parquet")

    table = parquet.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if "image" in row:
            row["image"] = _picture(row["image"]["bytes"]) | {"path": row["image"]["path"]}
    return {"rows": rows, "types": {field.name: str(field.type) for field in table.schema}}


def _of_webdataset(path: str) -> Any:
    webdataset: Any = importlib.import_module("webdataset")

    shards = sorted(str(shard) for shard in Path(path).glob("*.tar"))
    plain = webdataset.WebDataset(shards, shardshuffle=False)
    decoded = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
    rows = []
    for raw, sample in zip(plain, decoded, strict=True):
        ending = next(name for name in ("png", "jpg", "webp") if name in raw)
        kinds = sorted(name for name in raw if not name.startswith("__"))
        rows.append(
            {"key": raw["__key__"], "kinds": kinds, "picture": _picture(raw[ending]), "txt": sample["txt"]}
            | {"json": sample["json"], "decoded": sample[ending].size}
        )
    return rows


def _read(reader: str, path: str) -> Any:
    if reader == "pyarrow":
        return _of_pyarrow(path)
    if reader == "wds":
        return _of_webdataset(path)
    return _of_datasets(reader, path)


if __name__ == "__main__":
    print(json.dumps([_read(reader, path) for reader, path in json.load(sys.stdin)]))
