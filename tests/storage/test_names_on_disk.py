"""A thousand hostile prompts become a thousand pictures, each with a file of its own inside of the folder."""

import asyncio
import io
import os
import random
import sqlite3
import unicodedata
from pathlib import Path

from PIL import Image

from batchgen.spec.names import clean_part, parse_name, task_name
from batchgen.storage.files import Landing, ResultFolder
from batchgen.storage.ledger import FILE_NAME, Ledger
from batchgen.storage.purchases import Begun, Intent, begin, scopes_of

from .folders import store

NASTY = (
    *(
        "../",
        "..\\",
        "/",
        "C:\\",
        "CON",
        "nul.",
        "COM\u00b9",
        "a:b",
        "\0",
        "\n",
        " ",
        ".",
        "-",
        "~",
        "$HOME",
        "%00",
        "%2e%2e%2f",
    ),
    *(
        "\u202e",
        "\u200d",
        "e\u0301",
        "\u00e9",
        "E\u0301",
        "\u00df",
        "SS",
        "\u0130",
        "i\u0307",
        "\u212b",
        "\u00c5",
        "\ufb01",
        "fi",
    ),
    *(
        "\ud800",
        "\U0001f469\u200d\U0001f467",
        "\u0351" * 50,
        "x" * 300,
        "\u96e8" * 100,
        "A",
        "a",
        "K",
        "\u212a",
        "<b>",
        '"',
        "|",
        "?*",
    ),
)


def small_picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 1), (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def intent(number: int, name: str) -> Intent:
    return Intent(
        task_id=f"{number:08x}".ljust(64, "0"),
        label="dev",
        model="m/dev",
        name=name,
        record="{}",
        images=1,
        price=0,
        currency="CNY",
        run_id="r1",
        scopes=scopes_of("r1", "2026-05-01", "2026-W18", "2026-05"),
        at=1000.0,
    )


def test_a_thousand_hostile_prompts_give_a_thousand_files_inside_of_the_folder(tmp_path: Path) -> None:
    chance = random.Random(3)
    prompts = ["".join(chance.choices(NASTY, k=chance.randrange(1, 5))) for _ in range(1000)]
    template = parse_name("{prompt}/{word}")
    ledger = Ledger(tmp_path / FILE_NAME)

    def begin_all(connection: sqlite3.Connection) -> list[str]:
        names = []
        for number, prompt in enumerate(prompts):
            values = {"prompt": clean_part(prompt), "word": clean_part(prompt[::-1])}
            begun = begin(connection, intent(number, task_name(template, values)), ())
            assert isinstance(begun, Begun)
            names.append(begun.name)
        return names

    async def begun_names() -> list[str]:
        return await ledger.write(begin_all)

    names = asyncio.run(begun_names())
    ledger.close()
    with ResultFolder(tmp_path) as folder:
        landings = [
            Landing(str(number), small_picture(number), name, 1, f"{number:08x}") for number, name in enumerate(names)
        ]
        stored = store(folder, *landings)

    assert stored == [f"images/{name}.png" for name in names], "no name met another one on the disk"
    assert len({unicodedata.normalize("NFC", name).casefold() for name in stored}) == 1000
    inside = os.path.realpath(tmp_path / "images")
    for number, name in enumerate(stored):
        assert os.path.realpath(tmp_path / name).startswith(inside + os.sep)
        assert (tmp_path / name).read_bytes() == small_picture(number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", FILE_NAME]
