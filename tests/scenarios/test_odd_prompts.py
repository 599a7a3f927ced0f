"""1,632 prompts that break naive tools, on two models: equal byte for byte in file, request and manifest."""

import random
from collections import Counter
from pathlib import Path

import pytest

from .conftest import Cli, manifest, sandbox_process, write_job

ODD = [
    '"HELLO" on a sign', "'quoted", "🌆 a city", "一只红色的狐狸在雪地里", "[/b] bold [link=x]", "{{braces}} and {one}",
    "time: noon", "lamp #3", "- a list", "* star", "&anchor", "%percent", "@at", "`code`", "| pipe", "> fold", "!tag x",
    "null", "no", "2024-01-01", "1e3", "a\\b", "tab\there", "ünïcödé", "\u200bzero width", "C:\\CON", "../up", "=1+1", "؟عربي",
]  # fmt: skip
COUNT = 1632


def odd_prompts() -> list[str]:
    chance = random.Random(7)
    return [f"{chance.choice(ODD)} {number} {chance.choice(ODD)}".replace("\t", " ") for number in range(COUNT)]


@pytest.mark.timeout(600)
def test_every_odd_prompt_is_made_once_per_model_and_stays_what_it_was(cli: Cli, tmp_path: Path) -> None:
    prompts = odd_prompts()
    folder = tmp_path / "outputs" / "foo"
    job = write_job(
        tmp_path,
        "prompts: [{file: odd.tsv, literal: true}]\n"
        "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"
        "limits: {concurrency: 32}\n",
    )
    (tmp_path / "jobs" / "odd.tsv").write_text("prompt\n" + "\n".join(prompts) + "\n", encoding="utf-8")
    with sandbox_process(tmp_path, "--scale", "0.05") as server:
        first = cli("run", job, base_url=server.base_url, timeout=500)
        bill = server.bill()
        second = cli("run", job, base_url=server.base_url)
        lines = (tmp_path / "jobs" / "odd.tsv").read_text(encoding="utf-8").splitlines()
        lines[5] += " and one word more"
        (tmp_path / "jobs" / "odd.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        third = cli("run", job, base_url=server.base_url)
        after = server.bill()["requests"]

    wanted = Counter(dict.fromkeys(prompts, 2))
    assert (first.code, second.code, third.code) == (0, 0, 0), first.err
    assert bill["pictures"] == 2 * COUNT
    assert Counter(entry["prompt"] for entry in bill["entries"]) == wanted
    rows = manifest(folder)
    assert Counter(row["prompt"] for row in rows[: 2 * COUNT]) == wanted
    assert len({row["file_name"] for row in rows}) == len(rows) == 2 * COUNT + 2
    assert "nothing was sent" in second.err
    assert after == 2 * COUNT + 2
