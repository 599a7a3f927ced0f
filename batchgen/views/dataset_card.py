"""The card of an exported data set: `README.md` with the front matter that readers obey, and what people want to know.

It owns what is counted for it, in memory that does not grow with the pictures, and how outside words stand in Markdown
and YAML. It refuses to say what nobody here knows, the licence above all.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from batchgen import __version__
from batchgen.outside import clean
from batchgen.storage.manifest import ManifestRow

_DTYPES: Mapping[type, str] = {str: "string", int: "int64", float: "float64"}
_MOST: Final = 500
"""Different words of one kind that are counted; more of them are counted together."""
_OTHERS: Final = "others"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LICENCE = """## Licence

Unknown. What may be done with these pictures depends on the terms of the provider and on the licence of each model above,
which nobody has looked up for this card. Prompts may be somebody's own work, and input pictures too. Put the right
licence in here, and in `license:` at the top, before you publish this data set.
"""


@dataclass(slots=True)
class Tally:
    """What a card says of all pictures together."""

    pictures: int = 0
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By model and provider."""
    costs: dict[tuple[str, str, str], Decimal] = field(default_factory=dict)
    """By model, provider and currency; pictures of unknown price are in `unpriced`."""
    unpriced: Counter[tuple[str, str]] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""

    def add(self, row: ManifestRow, facts: Mapping[str, Any]) -> None:
        """Count one more picture."""
        self.pictures += 1
        made_by = (row.model, row.provider)
        if made_by not in self.models and len(self.models) >= _MOST:
            made_by = (_OTHERS, _OTHERS)
        self.models[made_by] += 1
        if row.cost:
            key = (*made_by, row.currency if len(self.costs) < 2 * _MOST else _OTHERS)
            self.costs[key] = self.costs.get(key, Decimal(0)) + Decimal(row.cost)
        else:
            self.unpriced[made_by] += 1
        for counter, words in (
            (self.flags, facts["flags"]),
            (self.jobs, [row.job]),
            (self.versions, [row.version]),
            (self.formats, [row.format]),
        ):
            for word in map(str, words):
                counter[word if word in counter or len(counter) < _MOST else _OTHERS] += 1
        self.first = min(self.first or row.created_at, row.created_at)
        self.last = max(self.last, row.created_at)


def card(tally: Tally, types: Mapping[str, type], index: str, pictures: str) -> str:
    """The whole file. `types` are the columns of the index, the first of which names the picture."""
    return "\n".join(
        (
            _front_matter(tally, types, index, pictures),
            _heading(tally),
            _models(tally),
            _flags(tally),
            _columns(types),
            _LICENCE,
        )
    )


def _front_matter(tally: Tally, types: Mapping[str, type], index: str, pictures: str) -> str:
    """YAML. Split and types are said, so that no reader guesses them from paths and from the first lines."""
    size = next((word for most, word in _SIZES if tally.pictures < most), "1M<n<10M")
    features = [("image", "image"), *((name, _DTYPES[kind]) for name, kind in list(types.items())[1:])]
    return "\n".join(
        (
            "---",
            "license: unknown",
            "task_categories: [text-to-image]",
            f"size_categories: [{size}]",
            "tags: [synthetic, batchgen]",
            "configs:",
            "- config_name: default",
            "  drop_labels: true",
            "  data_files:",
            "  - split: train",
            f"    path: [{_yaml(index)}, {_yaml(pictures + '/**')}]",
            "dataset_info:",
            "  features:",
            *(f"  - {{name: {_yaml(name)}, dtype: {dtype}}}" for name, dtype in features),
            "---",
            "",
        )
    )


def _heading(tally: Tally) -> str:
    jobs = ", ".join(_code(job) for job in sorted(tally.jobs)[:10] if job)
    versions = ", ".join(_code(version) for version in sorted(tally.versions)[:10] if version)
    formats = ", ".join(f"{count:,} {_code(name)}" for name, count in tally.formats.most_common())
    noun = "picture" if tally.pictures == 1 else "pictures"
    return (
        f"# {tally.pictures:,} generated {noun}\n\n"
        f"Made from text by the models below, between {_code(tally.first)} and {_code(tally.last)} (UTC)"
        f"{f', by the job {jobs}' if jobs else ''}, with batchgen {versions or '(version unknown)'}; exported by batchgen"
        f" {__version__}. {formats}.\n\nCosts are list prices at the time; what was really billed may differ.{_play_money(tally)}\n"
    )


def _play_money(tally: Tally) -> str:
    names = sorted({provider for _, provider in tally.models if provider == "sandbox" or provider.endswith("@local")})
    known = ", ".join(_code(name) for name in names[:10])
    return f" What {known} made is a rehearsal: drawn by a program, for play money." if names else ""


def _models(tally: Tally) -> str:
    lines = ["| model | provider | pictures | cost |", "|---|---|---|---|"]
    for made_by, count in tally.models.most_common():
        model, provider = made_by
        sums = [f"{cost} {clean(key[2], 10)}" for key, cost in sorted(tally.costs.items()) if key[:2] == made_by]
        sums += [f"unknown for {tally.unpriced[made_by]:,}"] if tally.unpriced[made_by] else []
        lines.append(f"| {_code(model)} | {_code(provider)} | {count:,} | {_plain(' + '.join(sums))} |")
    return "\n".join(lines) + "\n"


def _flags(tally: Tally) -> str:
    if not tally.flags:
        return "No picture has a flag (blank, black, another size than asked, …).\n"
    counts = ", ".join(f"{count:,} {_code(flag)}" for flag, count in tally.flags.most_common())
    return f"Flags, which stand in the column `flags`: {counts}.\n"


def _columns(types: Mapping[str, type]) -> str:
    names = ", ".join(_code(name) for name in types)
    return (
        f"## Columns\n\n{names}\n\n"
        "Each line of the index is what the manifest of the run says of one picture. `vars`, `params` and `flags` are JSON; `var:NAME` is the text that"
        " stood for the variable NAME; `original_name` is the file's name in the output folder. A text that is wholly a"
        " date has a space after it, so that readers leave it a text.\n"
    )


def _yaml(text: str) -> str:
    """Any words as a text of YAML on one line, in which nothing is obeyed by a terminal."""
    plain = (c if c.isprintable() and c not in {'"', "\\"} else f"\\U{ord(c):08X}" for c in text)
    return f'"{"".join(plain)}"'


def _code(text: str) -> str:
    """Outside words in a code span, which nothing in them ends, neither in a line nor in a table."""
    words = re.sub(r"[`|]", "'", clean(text, 200))
    return f"`{words}`" if words else "(none)"


def _plain(text: str) -> str:
    return re.sub(r"[^\w .,+()-]", "", text)
