"""Flags that a run gives a picture for not being what was asked for."""

from typing import Any

from batchgen.events import PictureStored

from .conftest import Bench
from .hostile import hostile, prompts
from .test_links import answer

__all__ = ["hostile"]


async def test_a_picture_of_another_format_than_asked_is_flagged(bench: Bench, hostile: Any) -> None:
    server = await hostile(answer)

    for asked in ("png", "jpg", "image/jpeg", ""):
        await bench.go(f"extra_params: {{output_format: '{asked}'}}\n" + prompts(f"lamp {asked}"), server)

    flagged = ["format" in event.flags for event in bench.events if isinstance(event, PictureStored)]
    assert flagged in ([False, True, True, False], [True, False, False, False])
