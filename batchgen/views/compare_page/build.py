"""The page of `batchgen compare`: its own files and the data, written beside the folder B or where the user says.

Pictures are not copied: the page names them by the way from its own place, and only those that lie inside the two
folders. It owns what the data files hold; `compare.js` shows them. It refuses to compare.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from batchgen.errors import UsageError
from batchgen.spec.wording import harmless
from batchgen.storage.derived import DerivedFolder
from batchgen.storage.disk import in_words, make_folder
from batchgen.views.compare import Comparison, Pair, words_of
from batchgen.views.compare_sides import Shot, Side

PAIRS_PER_FILE = 500
_FOLDER = "compare"
_PAGE = "index.html"
_ASSETS = ("compare.css", "compare.js", "viewer.js", _PAGE)
_OURS = b'<meta name="generator" content="batchgen compare">'
_SEEN = 64 * 1024
_LONGEST_TEXT = 4000


def build_page(comparison: Comparison, output: Path | None = None) -> Path:
    """Write the page to `output`, else to `compare/<name of A>/` in the folder B; the path of its `index.html`.

    A page of an earlier comparison is replaced, anything else under that name is not. Raises UsageError for that, and
    StorageError for what the disk refuses.
    """
    if output is None:
        above, name, inner = comparison.b.folder, _FOLDER, f"{comparison.a.name}/"
    else:
        real = Path(os.path.realpath(output))
        above, name, inner = real.parent, real.name, ""
        with in_words(above):
            make_folder(above)
    page = above / name / inner
    with DerivedFolder(above, name) as folder:
        found = folder.read(f"{inner}{_PAGE}", _SEEN)
        if (found is None and folder.has(f"{inner}{_PAGE}")) or (found is not None and _OURS not in found):
            raise UsageError(
                harmless(f"{page / _PAGE} is no page of batchgen compare, and is not replaced"),
                "move it away, or name another folder with --output",
            )
        files = 0
        for files, pairs in enumerate(_portions(comparison), start=1):
            folder.write(f"{inner}data/pairs-{files - 1}.js", _call("pairs", files - 1, pairs))
        folder.write(f"{inner}data/summary.js", _call("summary", _summary(comparison, page, files)))
        for asset in _ASSETS:  # the page itself comes last: it is whole when it is there
            folder.write(inner + asset, (Path(__file__).parent / asset).read_bytes())
        folder.tidy(f"{inner}data", lambda name: _is_stale(name, files))
    return page / _PAGE


def _is_stale(name: str, files: int) -> bool:
    number = name.removeprefix("pairs-").removesuffix(".js")
    return name == f"pairs-{number}.js" and number.isdecimal() and int(number) >= files


def _call(function: str, *values: Any) -> bytes:
    """A script that hands values to the page; ASCII, and nothing in it can end a script element."""
    texts = [json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c") for value in values]
    return f"comparison.{function}({','.join(texts)});\n".encode("ascii")


def _summary(comparison: Comparison, page: Path, files: int) -> dict[str, Any]:
    return {
        "schema": "compare/1",
        "names": _names(comparison),
        "roots": [_way(page, comparison.a.folder), _way(page, comparison.b.folder)],
        "threshold": comparison.threshold,
        "total": len(comparison.pairs) + len(comparison.only_a) + len(comparison.only_b),
        "pairs": len(comparison.pairs),
        "changed": comparison.changed,
        "same": sum(pair.same_bytes for pair in comparison.pairs),
        "resized": sum(pair.resized for pair in comparison.pairs),
        "lacking": len(comparison.pairs) - comparison.compared,
        "only": [len(comparison.only_a), len(comparison.only_b)],
        "models": [[each.label, each.model, each.compared, each.changed] for each in comparison.models()],
        "words": list(words_of(comparison)),
        "files": files,
    }


def _names(comparison: Comparison) -> list[str]:
    """What the two folders are called; with the folder above where they have the same name."""
    a, b = comparison.a, comparison.b
    if a.name != b.name:
        return [_text(a.name), _text(b.name)]
    return [_text(f"{side.folder.parent.name}/{side.name}") for side in (a, b)]


def _way(page: Path, folder: Path) -> str:
    """The address of a folder from the page, which ends in `/`."""
    return quote(os.fsencode(os.path.relpath(folder, page))) + "/"


def _portions(comparison: Comparison) -> Iterator[list[dict[str, Any]]]:
    portion = []
    for item in _items(comparison):
        portion.append(item)
        if len(portion) == PAIRS_PER_FILE:
            yield portion
            portion = []
    if portion:
        yield portion


def _items(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for pair in comparison.pairs:
        sides = [_shot(comparison.a, pair.a), _shot(comparison.b, pair.b)]
        yield {**_asked(pair.b), **_change(pair, comparison.threshold), "sides": sides}
    for place, side, alone in ((0, comparison.a, comparison.only_a), (1, comparison.b, comparison.only_b)):
        for shot in alone:
            yield {**_asked(shot), "kind": "only", "sides": [None] * place + [_shot(side, shot)] + [None] * (1 - place)}


def _asked(shot: Shot) -> dict[str, Any]:
    return {
        "id": _text(shot.prompt_id),
        "prompt": _text(shot.prompt),
        "vars": [[_text(name), _text(value)] for name, value in shot.variables],
        "label": _text(shot.label),
        "model": _text(shot.model),
        "try": shot.try_number,
        "number": shot.number,
        "task": _text(shot.task_id),
    }


def _change(pair: Pair, threshold: int) -> dict[str, Any]:
    """How a pair is filed: `changed`, `same` (the very same file), `alike`, or `lacking` one of the pictures."""
    kind = "changed" if pair.is_over(threshold) else "same" if pair.same_bytes else "alike"
    return {"kind": "lacking" if pair.difference is None else kind, "bits": pair.difference, "resized": pair.resized}


def _shot(side: Side, shot: Shot) -> dict[str, Any]:
    there = side.is_there(shot)
    return {
        "state": _text(shot.state) if there or shot.state != "stored" else "missing",
        "file": quote(os.fsencode(shot.file_name)) if there else "",
        "thumb": quote(side.thumbnail(shot)) if there else "",
        "width": shot.width,
        "height": shot.height,
        "bytes": shot.bytes,
        "seed": str(shot.seed),
        "night": _text(shot.night),
        "flags": _listed(shot.flags),
        "reason": _text(shot.reason),
    }


def _listed(words: Sequence[str]) -> list[str]:
    return [_text(word)[:40] for word in words[:20]]


def _text(text: str) -> str:
    """Text for a page: long ones are cut, and half characters do not break the file."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
