"""Memory is shared out in turn: nothing goes above the whole, and a large wish is not overtaken for ever."""

import io
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from batchgen.errors import PictureError
from batchgen.storage.pictures import DECODING_BYTES, check_picture
from batchgen.storage.room import Room
from batchgen.storage.walks import walk_to_end

from .pictures import WHOLE, encoded, png, png_chunk


def test_no_more_is_given_out_than_there_is() -> None:
    room = Room(100)
    held, most = [0], [0]
    lock = threading.Lock()

    def work(amount: int) -> None:
        for _ in range(50):
            with room.take(amount):
                with lock:
                    held[0] += amount
                    most[0] = max(most[0], held[0])
                with lock:
                    held[0] -= amount

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (10, 40, 70, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert most[0] <= 100
    with room.take(100):
        pass


def test_a_large_wish_is_not_overtaken_by_small_ones_that_come_later() -> None:
    room = Room(100)
    order: list[int] = []
    waiting: list[threading.Thread] = []

    def ask(amount: int) -> None:
        with room.take(amount):
            order.append(amount)

    with room.take(50):
        for amount in (100, 10):
            thread = threading.Thread(target=ask, args=(amount,))
            thread.start()
            waiting.append(thread)
            while len(room.line) < len(waiting) and thread.is_alive():
                thread.join(0.001)
        assert order == []
    for thread in waiting:
        thread.join(10)

    assert order == [100, 10]


def test_a_wish_for_more_than_all_gets_all() -> None:
    with Room(10).take(11):
        pass


def test_what_failed_gives_its_room_back() -> None:
    room = Room(1 << 20)
    for _ in range(3):
        with pytest.raises(PictureError):
            check_picture(png(100, 100, 8, 2, b""), room=room)
    assert check_picture(WHOLE["png"], room=room).width == 64
    with room.take(1 << 20):
        pass


def jpeg_header(width: int, height: int, sampling: bytes, *, progressive: bool) -> bytes:
    """A JPEG of three components whose scan is a few bytes: enough to see what looking at it would take."""
    parts = b"".join(bytes([number + 1, sampling[number], 0]) for number in range(3))
    frame = b"\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x03" + parts
    scan = b"\x03" + b"".join(bytes([number + 1, 0]) for number in range(3)) + b"\0\x3f\0"
    return (
        b"\xff\xd8"
        + b"".join(
            kind + (len(body) + 2).to_bytes(2) + body
            for kind, body in ((b"\xff\xc2" if progressive else b"\xff\xc0", frame), (b"\xff\xda", scan))
        )
        + b"\0\0\xff\xd9"
    )


def test_what_would_take_too_much_memory_to_look_at_is_refused_with_the_figures() -> None:
    with pytest.raises(PictureError) as caught:
        check_picture(jpeg_header(8192, 8192, b"\x11\x11\x11", progressive=True))
    assert caught.value.message == (
        "a progressive JPEG of 8192x8192 pixels: looking at it takes 389 MiB of memory, more than the 240 allowed"
    )
    webp = encoded(Image.new("RGB", (6000, 6000)), "WEBP", lossless=True, quality=0, method=0)
    with pytest.raises(PictureError, match="a WebP of 6000x6000 pixels: looking at it takes 447 MiB of memory"):
        check_picture(webp)


def test_the_largest_usual_pictures_fit_into_the_room() -> None:
    fits = [
        jpeg_header(8192, 8192, b"\x22\x11\x11", progressive=True),
        jpeg_header(7680, 4320, b"\x11\x11\x11", progressive=True),
        jpeg_header(8192, 8192, b"\x11\x11\x11", progressive=False),
    ]
    assert all(walk_to_end(data).memory(8) <= DECODING_BYTES for data in fits)
    webp = encoded(Image.new("RGB", (4096, 4096), "red"), "WEBP", lossless=True, quality=0, method=0)
    assert check_picture(webp).width == 4096


def test_a_jpeg_in_more_scans_than_anyone_makes_is_refused_before_it_is_decoded() -> None:
    one = jpeg_header(8192, 8192, b"\x22\x11\x11", progressive=True)
    at = one.index(b"\xff\xda")

    with pytest.raises(PictureError, match="a JPEG of 8192x8192 pixels in 25 scans, more than anyone makes"):
        check_picture(one[:at] + one[at:-2] * 25 + b"\xff\xd9")


CHECK_ONE = """
import sys
from pathlib import Path
from batchgen.storage.pictures import check_picture
from batchgen.storage.walks import walk_to_end
def most():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) * 1024
data = Path(sys.argv[1]).read_bytes()
before = most()
check_picture(data)
print(most() - before, walk_to_end(data).memory(int(sys.argv[2])))
"""
ONLY_LINUX = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells the most memory a process had"
)


@ONLY_LINUX
@pytest.mark.parametrize(
    ("kind", "scale", "options"),
    [
        ("WEBP", 1, {"lossless": True, "quality": 0, "method": 0}),
        ("WEBP", 1, {"quality": 10, "method": 0}),
        ("JPEG", 8, {"progressive": True, "subsampling": 0}),
        ("PNG", 1, {"compress_level": 1}),
    ],
)
def test_looking_at_a_picture_takes_no_more_than_was_asked_for(
    tmp_path: Path, kind: str, scale: int, options: dict[str, int]
) -> None:
    gradient = Image.linear_gradient("L").resize((3000, 3000))
    image = Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180)))
    (tmp_path / "picture").write_bytes(encoded(image, kind, **options))

    command = [sys.executable, "-c", CHECK_ONE, str(tmp_path / "picture"), str(scale)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path.cwd())

    took, asked = map(int, done.stdout.split())
    assert took < asked + 8 * 1024**2


CHECK_ALL = """
import sys, threading
from pathlib import Path
import batchgen.cli.main, batchgen.engine.run
from batchgen.storage.files import Landed, Landing, ResultFolder
folder = ResultFolder(Path(sys.argv[1]), thumbnails=True)
results = []
def store(path, number):
    part = folder.create_part(f"{path.stem}-{number}")
    part.write(path.read_bytes())
    results.extend(folder.store_batch([Landing(part.name, part, f"{path.stem}-{number}", 1, "ab12cd34")]))
for path in map(Path, sys.argv[2:]):
    threads = [threading.Thread(target=store, args=(path, number)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(sum(isinstance(result, Landed) for result in results))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@ONLY_LINUX
def test_four_threads_with_the_largest_pictures_stay_below_400_megabytes(tmp_path: Path) -> None:
    row = zlib.compressobj(1)
    stream = b"".join(row.compress(bytes([1, 5, 6, 7, 255]) + bytes(4 * 8191)) for _ in range(8192)) + row.flush()
    shell = png(8192, 8192, 8, 6, b"")
    wide = Image.linear_gradient("L").resize((8192, 8192))
    large = {
        "rgba.png": shell[:33] + png_chunk(b"IDAT", stream) + shell[-12:],
        "grey.jpg": encoded(wide, "JPEG", progressive=True),
        "square.png": encoded(wide.resize((4096, 4096)).convert("RGB"), "PNG", compress_level=1),
        "square.webp": encoded(Image.new("RGB", (4096, 4096), "red"), "WEBP", quality=10, method=0),
    }
    del wide
    for name, data in large.items():
        (tmp_path / name).write_bytes(data)

    command = [sys.executable, "-c", CHECK_ALL, str(tmp_path / "out"), *(str(tmp_path / name) for name in large)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path.cwd())

    stored, peak_kib = map(int, done.stdout.split())
    assert stored == 4 * len(large), done.stderr
    assert peak_kib * 1024 < 400_000_000


def test_a_picture_of_one_pixel_by_millions_costs_more_than_its_pixels() -> None:
    thin = png(1, 1 << 24, 8, 0, bytes(2 << 24))

    assert walk_to_end(thin).memory() > DECODING_BYTES
    assert check_picture(thin).blank


def test_a_png_that_does_not_fit_is_checked_by_its_rows() -> None:
    narrow = Room(1 << 10)
    for data in (WHOLE["png"], WHOLE["png interlaced"], WHOLE["png 16 bits"], WHOLE["png palette"]):
        # Rows give no whole picture to look at; all else is the same.
        assert check_picture(data, room=narrow) == replace(check_picture(data), look=None)
    blank = Image.new("RGB", (500, 700), "white")
    assert check_picture(encoded(blank, "PNG"), room=narrow).blank
    blank.putpixel((499, 699), (0, 0, 0))
    assert not check_picture(encoded(blank, "PNG"), room=narrow).blank
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 1 << 16)).save(buffer, "PNG")
    assert not check_picture(buffer.getvalue(), room=narrow).blank
