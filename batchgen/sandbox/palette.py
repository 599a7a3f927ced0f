"""Colours from words: a prompt that says rain, gold or forest gets colours that fit, any other gets a set of its own.

Palettes are five colours from dark to light. It refuses to know what is drawn with them.
"""

import colorsys
import hashlib
import re
from collections.abc import Sequence

Colour = tuple[int, int, int]

_PALETTES: tuple[tuple[str, str], ...] = (
    ("14112b 3d1e6d c8267d ff6b6b ffd8a8", "neon city night synthwave cyberpunk club arcade 霓虹 夜"),
    ("0b132b 1c2f5a 3a6ea5 86c5da f2efe4", "rain storm water sea ocean lake river harbour harbor 雨 海 湖"),
    ("10231c 1f4d3a 4f8a5b a9c77b f4f1c9", "forest wood tree jungle leaf moss garden green 森林 树 绿"),
    ("2a1a1f 7a2e2e d1603d f2a65a fbe8c6", "sunset dusk autumn desert fire ember canyon orange 日落 秋"),
    ("1b1b3a 693668 a74482 f84aa7 ffd6e8", "pink rose flower blossom orchid peony candy 花 粉"),
    ("0d1b2a 33415c 7d8597 c5c9d3 f8f9fa", "ink snow winter fog mist stone grey gray silver 墨 雪 雾"),
    ("2b1d0e 6b4423 b98b4e e3c48d faf1dc", "gold wood coffee honey wheat bread brown vintage retro 金"),
    ("1a1423 3d314a 684756 96705b ab8476", "old book oil baroque portrait detective noir film"),
    ("03071e 6a040f d00000 f48c06 ffe8a3", "red crimson lava dragon lantern chili moon 红 龙"),
    ("012a4a 01497c 2a9dc4 89d6e8 fdf6e3", "blue sky ice glacier whale swim pool 蓝 天"),
    ("22223b 4a4e69 9a8c98 d3b8ae f2e9e4", "linen cloth ceramic cup mug porcelain pastel quiet"),
    ("132a13 31572c 6f9940 c5d86d fff7ae", "lime bamboo tea frog meadow grass spring 竹 春"),
    ("240046 5a189a 9d4edd e0aaff fff0ff", "purple violet magic wizard galaxy dream lavender 紫 梦"),
    ("001219 005f73 0a9396 94d2bd e9d8a6", "teal reef island lagoon mermaid turtle 岛"),
    ("2d0a31 7b1e57 d9446f ff9b71 fff1d0", "dawn morning sunrise peach fruit summer 晨 夏"),
    ("0a0908 22333b 6b5e51 c6ac8f eae0d5", "coffee leather street car steel machine robot industrial"),
    ("102542 2f5d8c f87060 ffb997 fdf5e6", "coral beach boat holiday sail lighthouse sand 沙"),
    ("1d1a31 4d2d52 9a4c95 f08cae ffd5c2", "cat kitten fairy doll ballet dress velvet 猫"),
    ("0f2027 2c5364 45868c b2d2a4 f6f3d4", "lamp glass bottle chair desk room interior window"),
    ("1f0318 5b1a3a a53860 ef6f6c f9dcc4", "wine berry cherry apple cake dessert kitchen food"),
    ("16161d 37407a 6874e8 a5bafc fcefc2", "star space planet comet astronaut rocket orbit moonlight 星 月"),
    ("2e1503 843b0a dd7a1c ffc145 fff4d6", "lion tiger fox savanna giraffe sun yellow 狮 虎"),
)


def palette_for(prompt: str) -> tuple[str, ...]:
    """Five colours as RRGGBB, dark to light: the best fitting set, turned a little by the prompt's own digest."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    scored = [(_matches(tags, words, prompt), number) for number, (_, tags) in enumerate(_PALETTES)]
    best = max(score for score, _ in scored)
    fitting = [number for score, number in scored if score == best]
    chosen = _PALETTES[fitting[digest[0] % len(fitting)]][0].split()
    turn = (digest[1] - 128) / 128 * 0.035
    return tuple(_turned(colour, turn) for colour in chosen)


def _matches(tags: str, words: set[str], prompt: str) -> int:
    return sum(tag in words or (not tag.isascii() and tag in prompt) for tag in tags.split())


def _turned(text: str, turn: float) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(*(part / 255 for part in rgb(text)))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, saturation)
    return f"{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def rgb(text: str) -> Colour:
    """A colour from RRGGBB. Raises ValueError for anything else."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two; `share` 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def along(colours: Sequence[Colour], position: float) -> Colour:
    """The colour at `position` from 0 to 1 along a row of them."""
    place = min(max(position, 0.0), 1.0) * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    return mix(colours[index], colours[index + 1], place - index)
