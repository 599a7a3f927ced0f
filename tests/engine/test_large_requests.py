"""Input pictures in requests: bounded for one request and for all at once, so that no job fills the memory."""

from pathlib import Path
from typing import Any

from batchgen.api.memory import Memory
from batchgen.events import Notice

from .conftest import Bench
from .hostile import hostile
from .test_links import answer

__all__ = ["hostile"]

MULTI = "models: [black-forest-labs/flux-kontext-pro/multi]\n"


def picture(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + path.name.encode())
        file.truncate(size)


async def test_a_request_that_is_too_large_is_left_out_and_the_others_are_made(
    bench: Bench, hostile: Any, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, 25 * 2**20)
    picture(tmp_path / "small.png", 1000)
    job = (
        "prompts:\n  - {prompt: large, params: {images: [a.png, b.png]}}\n"
        "  - {prompt: small, params: {images: [small.png]}}\n" + MULTI
    )

    report = await bench.go(job, await hostile(answer))

    said = [event.message for event in bench.events if isinstance(event, Notice)]
    assert report["counts"]["done"] == 1
    assert any("its input pictures have 50 MB, more than the 48 allowed" in message for message in said), said


async def test_requests_with_many_bytes_of_pictures_wait_for_one_another(
    bench: Bench, hostile: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("batchgen.engine.context.REQUESTS_AT_MOST", 2_500)
    names = [f"{number}.png" for number in range(8)]
    for name in names:
        picture(tmp_path / name, 1000)
    rows = "".join(f"  - {{prompt: {name}, params: {{images: [{name}]}}}}\n" for name in names)
    largest = 0

    class Watched(Memory):
        async def take(self, size: int) -> int:
            nonlocal largest
            taken = await super().take(size)
            largest = max(largest, 2_500 - self._free)
            return taken

    monkeypatch.setattr("batchgen.engine.context.Memory", Watched)

    report = await bench.go("prompts:\n" + rows + MULTI, await hostile(answer))

    assert report["counts"]["done"] == 8
    assert largest == 2_000
