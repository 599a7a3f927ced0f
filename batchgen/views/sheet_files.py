"""Sheets as files: PNG, JPEG, or one PDF with a page a sheet, each under its name only when it is whole.

It owns how the files are known again, so that an export replaces earlier sheets and nothing else. It refuses to write
through a link and to hold more than one sheet in memory.
"""

import io
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, Self

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from batchgen.errors import StorageError, UsageError
from batchgen.spec.wording import harmless
from batchgen.storage.disk import names as names_in
from batchgen.storage.disk import refuse_planted, sync_file, sync_folder

SheetFile = Literal["png", "jpeg", "pdf"]
PAGES = "sheets.pdf"
MARK = b"batchgen contact sheet"
"""Near the start of every sheet."""
_ENDINGS: dict[SheetFile, str] = {"png": "png", "jpeg": "jpg", "pdf": "pdf"}
_NUMBERED = re.compile(r"sheet-\d{2,}\.(png|jpg)")
_JPEG_QUALITY = 90
_DOTS_PER_INCH = 144
_POINTS_PER_INCH = 72
_SEEN = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def name_of(number: int, of: int, file: SheetFile) -> str:
    """What the sheet `number` (from 1) of `of` is called."""
    if file == "pdf":
        return PAGES
    return f"sheet-{number:0{max(2, len(str(of)))}d}.{_ENDINGS[file]}"


class SheetFolder:
    """The folder that sheets are written to, made if missing; use it as a context manager.

    Methods raise `StorageError` for what the disk refuses, and `UsageError` for a file of somebody else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._in_words(path):
            path.mkdir(parents=True, exist_ok=True)
            self._folder = os.open(path, _FOLDER)

    def write(self, sheets: Iterable[Image.Image], file: SheetFile, count: int) -> bool:
        """Write `count` sheets, and take away earlier ones that these do not replace; whether there were any."""
        names = list(dict.fromkeys(name_of(number, count, file) for number in range(1, count + 1)))
        replaced = [name for name in names if self._is_ours(name)]  # each is looked at before any is written
        if file == "pdf":
            with self._replacing(PAGES) as part:
                write_pdf(part, sheets)
        else:
            for name, sheet in zip(names, sheets, strict=True):
                with self._replacing(name) as part:
                    _save(sheet, part, file)
            self._take_away(set(names), _ENDINGS[file])
        return bool(replaced)

    def _take_away(self, names: set[str], ending: str) -> None:
        """An earlier export may have had more sheets: they would be taken for a part of this one."""
        with self._in_words(self._path):
            for name in names_in(self._folder):
                if _NUMBERED.fullmatch(name) and name.endswith(ending) and name not in names:
                    with suppress(UsageError, StorageError, FileNotFoundError):
                        if self._is_ours(name):
                            os.unlink(name, dir_fd=self._folder)

    def _is_ours(self, name: str) -> bool:
        refuse_planted(self._path / name, to_write=False)
        with self._in_words(self._path / name):
            try:
                descriptor = os.open(name, _LOOK, dir_fd=self._folder)
            except FileNotFoundError:
                return False
            with os.fdopen(descriptor, "rb") as file:
                begins = file.read(_SEEN)
        if MARK not in begins:
            raise UsageError(
                harmless(f"{self._path / name} is no contact sheet of batchgen, and is not replaced"),
                "move it away, or name another folder with --output",
            )
        return True

    @contextmanager
    def _replacing(self, name: str) -> Iterator[IO[bytes]]:
        part = f".{name}.{secrets.token_hex(4)}.part"
        with self._in_words(self._path / name):
            descriptor = os.open(part, _NEW, 0o666, dir_fd=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    sync_file(descriptor)
                os.replace(part, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=self._folder)
                raise
            sync_folder(self._folder)

    @staticmethod
    @contextmanager
    def _in_words(path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or "the system refused").lower()
            raise StorageError(
                f"{harmless(str(path))} cannot be written: {reason}",
                "repair that, or name another folder with --output",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)


def _save(sheet: Image.Image, part: IO[bytes], file: SheetFile) -> None:
    dpi = (_DOTS_PER_INCH, _DOTS_PER_INCH)
    if file == "jpeg":
        sheet.save(part, "JPEG", quality=_JPEG_QUALITY, comment=MARK, dpi=dpi)
        return
    info = PngInfo()
    info.add_text("Software", MARK.decode())
    sheet.save(part, "PNG", pnginfo=info, dpi=dpi)


def write_pdf(part: IO[bytes], pages: Iterable[Image.Image]) -> None:
    """A PDF of pictures that fill their pages, each written and let go before the next is drawn."""
    places: dict[int, int] = {}
    written = part.write(b"%PDF-1.4\n% " + MARK + b"\n")
    numbers: list[int] = []
    for page in pages:
        number = 3 + 3 * len(numbers)  # the catalogue is 1, the list of pages 2
        numbers.append(number)
        for offset, item in enumerate(_page_objects(page, number)):
            places[number + offset] = written
            written += part.write(item)
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    tree = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(numbers))
    for number, content in ((1, b"<< /Type /Catalog /Pages 2 0 R >>"), (2, tree)):
        places[number] = written
        written += part.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))
    part.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
    part.write(b"".join(b"%010d 00000 n \n" % places[number] for number in sorted(places)))
    part.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, written))


def _page_objects(page: Image.Image, number: int) -> Iterator[bytes]:
    """A page, the picture on it and the order to draw it; their numbers follow each other."""
    width, height = (side * _POINTS_PER_INCH / _DOTS_PER_INCH for side in page.size)
    jpeg = io.BytesIO()
    page.save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    box = f"/MediaBox [0 0 {width:.2f} {height:.2f}]".encode()
    uses = b"/Resources << /XObject << /Sheet %d 0 R >> >> /Contents %d 0 R" % (number + 1, number + 2)
    yield b"%d 0 obj\n<< /Type /Page /Parent 2 0 R %b %b >>\nendobj\n" % (number, box, uses)
    facts = b"/Type /XObject /Subtype /Image /Width %d /Height %d" % page.size
    facts += b" /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode"
    yield _stream(number + 1, facts, jpeg.getvalue())
    yield _stream(number + 2, b"", f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Sheet Do Q".encode())


def _stream(number: int, facts: bytes, content: bytes) -> bytes:
    return b"%d 0 obj\n<< %b /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (number, facts, len(content), content)
