"""Galleries without a run: the data files as `batchgen gallery` would write them, of any size and as hostile as one likes."""

import hashlib
import random
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from batchgen.views.gallery.data import STATES, script

PAGE = Path(__file__).parents[3] / "batchgen" / "views" / "gallery" / "page"
CELLS_PER_FILE, DETAILS_PER_FILE = 5000, 250
MODELS = [
    ("black-forest-labs/flux.1-dev", "flux.1-dev", (1216, 832)),
    ("black-forest-labs/flux-kontext-pro/text-to-image", "pro-wide", (1392, 752)),
    ("black-forest-labs/flux-kontext-max/text-to-image", "max-tall", (832, 1248)),
    ("stepfun-ai/step1x-edit", "step1x-edit", (1024, 1024)),
]
FAILURES = {
    "failed": ("content_policy", "the provider refused this prompt: its content policy names violence"),
    "unknown": ("timeout", "no complete answer came within 300 s; it may have been billed"),
    "expired": ("expired", "the link died before the picture was fetched: HTTP 403"),
    "lost": ("unusable", "billed, and the answer held no picture"),
}


@dataclass
class Wanted:
    """What a synthetic gallery is to hold: prompts x variables x models x tries."""

    prompts: list[str]
    models: int = 2
    tries: int = 2
    variables: dict[str, list[str]] = field(default_factory=dict)
    job: str = "synthetic"
    failing: int = 0
    """Every so-manieth cell is missing in one way or another."""
    flagged: int = 0
    earlier: int = 0
    """Every so-manieth cell is one that the job does not ask for now."""
    nights: list[str] = field(default_factory=lambda: [""])
    large: bool = False
    """Whether the pictures themselves are there, and not just their small ones."""
    marks: dict[str, str] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], None] = lambda _: None
    """Is given the details of each cell before they are written."""


def write_gallery(folder: Path, wanted: Wanted) -> Path:
    """Write `gallery/` into an output folder; the path of its page."""
    gallery = folder / "gallery"
    (gallery / "page").mkdir(parents=True)
    (gallery / "data").mkdir()
    for source in PAGE.iterdir():
        shutil.copy(source, gallery if source.name == "index.html" else gallery / "page")
    thumbs = _thumbs(gallery)
    cells = list(_cells(wanted, thumbs))
    axes = _axes(wanted, cells)
    for number, start in enumerate(range(0, len(cells), CELLS_PER_FILE)):
        part = cells[start : start + CELLS_PER_FILE]
        (gallery / "data" / f"cells-{number}.js").write_bytes(script("cells", number, _columns(part, axes)))
    for number, start in enumerate(range(0, len(cells), DETAILS_PER_FILE)):
        details = [cell["detail"] for cell in cells[start : start + DETAILS_PER_FILE]]
        (gallery / "data" / f"details-{number}.js").write_bytes(script("details", number, details))
    if wanted.large:
        _store(folder, cells)
    (gallery / "data" / "index.js").write_bytes(script("index", _index(wanted, cells, axes)))
    return gallery / "index.html"


def _cells(wanted: Wanted, thumbs: dict[tuple[int, int], list[str]]) -> Iterator[dict[str, Any]]:
    dice = random.Random(7)
    combos = list(product(*wanted.variables.values()))
    places = product(
        wanted.nights, range(1, wanted.tries + 1), enumerate(wanted.prompts), combos, MODELS[: wanted.models]
    )
    for number, (night, k, (row, prompt), combo, (model, label, size)) in enumerate(places, start=1):
        variables = dict(zip(wanted.variables, combo, strict=True))
        text = prompt
        for name, value in variables.items():
            text = text.replace("{" + name + "}", value)
        row_id = f"row-{row}"
        prompt_id = ".".join([row_id, *combo])
        seed = int(hashlib.sha256(f"{night}{prompt}{k}".encode()).hexdigest()[:7], 16)
        state = "stored"
        if wanted.failing and number % wanted.failing == 0:
            state = dice.choice(["failed", "failed", "failed", "unknown", "expired", "lost", "pending", "waiting"])
        flags = []
        if wanted.flagged and state == "stored" and number % wanted.flagged == 0:
            flags = dice.choice([["black"], ["blank", "near-duplicate"], ["size"]])
        task = hashlib.sha256(f"{number} {model}".encode()).hexdigest()
        kind, message = FAILURES.get(state, ("", "not made yet" if state == "pending" else ""))
        name = f"images/{prompt_id}/{label}-{seed}.jpg"
        detail: dict[str, Any] = {
            "task": task, "file": name if state == "stored" else "", "prompt_id": prompt_id, "row": row_id,
            "prompt": text, "negative": "", "seed": seed, "try": k, "index": number, "night": night,
            "vars": variables, "model": model, "label": label,
            "params": {"steps": 28, "guidance_scale": 3.5} if label == "flux.1-dev" else {"guidance_scale": 3.5},
            "extra": {}, "provider": "sandbox", "cost": "0.35" if state == "stored" else "0", "currency": "CNY",
            "latency": round(dice.uniform(3, 14), 3), "request_id": f"req-{number:08x}", "at": "2026-03-24T01:20:00Z",
            "attempts": 1, "maybe_billed": 0, "run": "0123456789ab", "bytes": 180_000 + number % 90_000,
            "format": "jpeg", "flags": flags, "message": message, "class": kind, "inputs": {}, "price": "0.35",
        }  # fmt: skip
        wanted.change(detail)
        yield {
            "id": task[:16], "n": 1, "state": STATES.index(state), "flags": flags,
            "now": 0 if wanted.earlier and number % wanted.earlier == 0 else 1,
            "thumb": dice.choice(thumbs[size]) if state == "stored" else "",
            "w": size[0] if state == "stored" else 0, "h": size[1] if state == "stored" else 0, "detail": detail,
            "places": {
                "prompt": (detail["prompt_id"], detail["prompt"]), "model": (label, model), "try": (str(k), str(k)),
                "night": (night, night), "row": (detail["row"], prompt),
                **{f"var:{each}": (value, value) for each, value in detail["vars"].items()},
            },
        }  # fmt: skip


def _axes(wanted: Wanted, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    axes = []
    for key in ["prompt", "model", "try", "night", "row", *(f"var:{name}" for name in wanted.variables)]:
        known: dict[tuple[str, str], int] = {}
        for cell in cells:
            place = cell["places"].get(key, ("", "–"))
            cell.setdefault("axis", {})[key] = known.setdefault(place, len(known))
        values = [{"id": name, "text": text} for name, text in known]
        axes.append({"key": key, "title": key.removeprefix("var:"), "values": values})
    return axes


def _columns(part: list[dict[str, Any]], axes: list[dict[str, Any]]) -> dict[str, Any]:
    flags = ["black", "blank", "near-duplicate", "size"]
    return {
        **{name: [cell[name] for cell in part] for name in ("id", "n", "state", "now", "thumb", "w", "h")},
        "axis": {axis["key"]: [cell["axis"][axis["key"]] for cell in part] for axis in axes},
        "flags": [sum(1 << flags.index(flag) for flag in cell["flags"]) for cell in part],
    }


def _index(wanted: Wanted, cells: list[dict[str, Any]], axes: list[dict[str, Any]]) -> dict[str, Any]:
    used = MODELS[: wanted.models]
    count: dict[str, dict[str, int]] = {label: dict.fromkeys(STATES, 0) for _, label, _ in used}
    for cell in cells:
        label = cell["detail"]["label"]
        if label in count:
            count[label][STATES[cell["state"]]] += 1
    dice = random.Random(3)
    failures = [
        {"label": label, "class": kind, "message": message, "count": count[label][state]}
        for label in count
        for state, (kind, message) in FAILURES.items()
        if count[label][state]
    ]
    stored = sum(each["stored"] for each in count.values())
    return {
        "schema": "gallery/1", "job": wanted.job, "built_at": "2026-03-24T06:00:00Z", "version": "0.5.0",
        "folder": "synthetic", "root": "../", "running": False, "axes": axes,
        "default": {"rows": ["prompt"], "columns": ["model", "try"], "pages": []},
        "states": list(STATES), "flags": ["black", "blank", "near-duplicate", "size"] if wanted.flagged else [],
        "classes": sorted({each["class"] for each in failures}), "currency": "CNY", "play_money": True,
        "cells": len(cells), "cells_per_file": CELLS_PER_FILE, "details_per_file": DETAILS_PER_FILE,
        "marks": wanted.marks, "job_path": "synthetic.yaml",
        "summary": {
            "money": {"currency": "CNY", "calls": len(cells), "pictures": stored, "maybe_pictures": 1,
                      "billed": f"{stored * 0.35:.2f}", "maybe": "0.35", "reserved": "0", "other": {}},
            "time": {"runs": 2, "started_at": "2026-03-24T00:10:00Z", "ended_at": "2026-03-24T02:31:00Z", "seconds": 8460.0},
            "models": [
                {"label": label, "model": model, **count[label], "billed": f"{count[label]['stored'] * 0.35:.2f}",
                 "latency_p50": 6.4, "latency_p95": 12.9}
                for model, label, _ in used
            ],
            "failures": failures,
            "charts": {
                "latency": [
                    {"label": label, "edges": [each * 0.5 for each in range(25)],
                     "counts": [int(90 * 2.718 ** (-((bar - 9 - at * 2) ** 2) / 18)) + dice.randint(0, 4) for bar in range(24)]}
                    for at, (_, label, _) in enumerate(used)
                ],
                "per_minute": [{"at": f"2026-03-24T00:{minute:02}:00Z", "count": dice.randint(8, 40)} for minute in range(50)],
                "nights": [{"night": night, **dict.fromkeys(STATES, 0), "stored": stored // len(wanted.nights), "failed": 2} for night in wanted.nights],
            },
        },
    }  # fmt: skip


@cache
def _sketches(size: tuple[int, int]) -> list[bytes]:
    """A few small pictures of one shape: a sky, a sun, hills."""
    made = []
    for number in range(24):
        dice = random.Random(f"{size} {number}")
        scale = 320 / max(size)
        wide, high = round(size[0] * scale), round(size[1] * scale)
        hue = dice.randrange(255)
        image = Image.new("HSV", (wide, high), (hue, 90, 225))
        draw = ImageDraw.Draw(image)
        for y in range(high):
            draw.line(
                [(0, y), (wide, y)], fill=((hue + y * 40 // high) % 255, 60 + 80 * y // high, 235 - 60 * y // high)
            )
        x, y, r = dice.randrange(wide), dice.randrange(high // 2), dice.randrange(18, 46)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=((hue + 20) % 255, 40, 250))
        for layer in range(3):
            points = [(at, high * (0.5 + layer * 0.15) + dice.randrange(-30, 30)) for at in range(0, wide + 60, 60)]
            draw.polygon(
                [*points, (wide + 60, high), (0, high)], fill=((hue + 110 + layer * 12) % 255, 120, 140 - layer * 38)
            )
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=80)
        made.append(buffer.getvalue())
    return made


def _thumbs(gallery: Path) -> dict[tuple[int, int], list[str]]:
    names: dict[tuple[int, int], list[str]] = {}
    for size in {*(size for _, _, size in MODELS), (1024, 1024)}:
        for data in _sketches(size):
            digest = hashlib.sha256(data).hexdigest()
            name = f"{digest[:2]}/{digest[:32]}.webp"
            (gallery / "thumbs" / digest[:2]).mkdir(parents=True, exist_ok=True)
            (gallery / "thumbs" / name).write_bytes(data)
            names.setdefault(size, []).append(name)
    return names


def _store(folder: Path, cells: list[dict[str, Any]]) -> None:
    for number, cell in enumerate(cells):
        name = cell["detail"]["file"]
        if not name or ".." in name:
            continue
        data = _sketches((cell["w"], cell["h"]))[number % 24]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(BytesIO(data)).convert("RGB").resize((cell["w"], cell["h"])).save(path, "JPEG", quality=70)


def png(wide: int, high: int) -> bytes:
    """The smallest picture there is of a size, for input pictures."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x7f" * wide for _ in range(high)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )
