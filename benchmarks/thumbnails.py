"""What a thumbnail and a look add to the check of a picture: CPU per picture of one megapixel, in one run.

PYTHONPATH=. python benchmarks/thumbnails.py
"""

import time
from io import BytesIO

from PIL import Image, ImageFilter

from batchgen.storage.pictures import check_picture

ROUNDS, TIMES = 7, 10


def picture(kind: str) -> bytes:
    """A megapixel of smooth noise, which packs about as well as a photo."""
    noise = [Image.effect_noise((1024, 1024), 90).filter(ImageFilter.GaussianBlur(radius)) for radius in (2, 4, 8)]
    file = BytesIO()
    Image.merge("RGB", noise).save(file, kind, **({} if kind == "PNG" else {"quality": 90}))
    return file.getvalue()


def cpu_ms(data: bytes, *, thumbnail: bool) -> float:
    """The least of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(TIMES):
            check_picture(data, "0" * 64, thumbnail=thumbnail)
        rounds.append((time.process_time() - begun) / TIMES * 1000)
    return min(rounds)


def main() -> None:
    print(f"{'format':8}{'check':>10}{'and thumbnail':>16}{'bytes':>8}")
    for kind in ("PNG", "JPEG", "WEBP"):
        data = picture(kind)
        size = len(check_picture(data, thumbnail=True).thumbnail)
        print(f"{kind:8}{cpu_ms(data, thumbnail=False):>7.1f} ms{cpu_ms(data, thumbnail=True):>13.1f} ms{size:>8}")


if __name__ == "__main__":
    main()
