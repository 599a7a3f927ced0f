"""Jobs that multiply: refused before anything is expanded, however they are written."""

import re
from collections.abc import Callable
from itertools import islice

import pytest

from batchgen.spec import checks, prompts
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.wording import MOST_PROBLEMS


def axes(names: int, values: int) -> str:
    lines = "".join(f"  v{n}: [{', '.join(f'w{k}' for k in range(values))}]\n" for n in range(names))
    return f"vars:\n{lines}"


def used(names: int) -> str:
    return " ".join(f"{{v{n}}}" for n in range(names))


def test_variables_that_multiply_beyond_reason_are_refused(complaints: Callable[..., str]) -> None:
    assert "more than 10^15 tasks" in complaints(f"prompts: ['{used(10)}']\n{axes(10, 100)}")
    assert "at least 100,000,000 tasks; 1,000,000 are the most" in complaints(f"prompts: ['{used(4)}']\n{axes(4, 100)}")


def test_seeds_models_and_prompts_count_as_well(complaints: Callable[..., str], read: Callable[..., Job]) -> None:
    text = f"prompts: ['a {used(1)}', b]\n{axes(1, 99)}seeds: {{count: 10000}}"

    assert len(read(text).rows) == 2
    assert "at least 1,010,000 tasks" in complaints(text.replace("b]", "b, c]"))


def test_rules_times_tasks_are_bounded_because_each_is_held_against_each(
    complaints: Callable[..., str], read: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_LOOKS", 200)
    text = f"prompts: ['{used(1)}']\n{axes(1, 10)}exclude: [{', '.join(f'{{v0: w{n}}}' for n in range(9))}]\n"

    assert len(read(text + "seeds: {count: 2}").rows) == 1
    assert "9 rules of `exclude` for 30 tasks" in complaints(text + "seeds: {count: 3}")


def test_different_prompts_are_bounded_because_each_is_remembered(
    read: Callable[..., Job], complaints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_TEXTS", 100)

    assert len(read(f"prompts: ['{used(2)}']\n{axes(2, 10)}").rows) == 1
    assert "at least 121 different prompts; 100 are the most" in complaints(f"prompts: ['{used(2)}']\n{axes(2, 11)}")


def test_a_field_with_too_many_values_is_refused_before_they_are_made(
    complaints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_VALUES", 100)
    said = complaints(f"prompts: [a]\nparams: {{size: '{{v0}}x{{v1}}'}}\n{axes(2, 11)}")

    assert "job.yaml:2:16: `size` has more than 100 values with its variables put in" in said


def test_a_field_that_grows_is_refused_before_it_is_made(complaints: Callable[..., str]) -> None:
    job = f"prompts: [a]\nvars: {{a: [{'x' * 100_000}]}}\nparams: {{negative_prompt: '{'{a}' * 1000}'}}\n"
    said = complaints(job + "models: [black-forest-labs/flux.1-dev, stepfun-ai/step1x-edit, Qwen/Qwen-Image]\n")

    assert "`negative_prompt` has more than 50,000,000 characters" in said


def test_a_prompt_may_be_long_and_not_longer(read: Callable[..., Job], complaints: Callable[..., str]) -> None:
    assert len(read(f"prompts: ['{'x' * prompts.LONGEST_PROMPT}']").rows) == 1
    assert "this prompt has 100,001 characters" in complaints(f"prompts: ['{'x' * 100_001}']")
    assert "up to 100,001 characters" in complaints(f"prompts: ['x{{a}}']\nvars: {{a: [{'y' * 100_000}]}}")


def test_a_value_that_only_some_rows_get_is_checked_for_each_of_them(complaints: Callable[..., str]) -> None:
    said = complaints(
        "prompts: [{file: p.csv, prompt: 'a {n}', params: {steps: '{n}'}}]", {"p.csv": "n\n20\n21\nmany\n22\nlots\n"}
    )

    assert "many" in said
    assert "lots" in said


def test_seeds_of_all_rows_together_are_bounded(
    complaints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "MOST_FIXED_SEEDS", 25)

    said = complaints("prompts: [{file: p.csv}]", {"p.csv": "prompt,seed\na,1..10\nb,1..10\nc,1..10\n"})

    assert "p.csv:4: the prompts of this job name more than 25 seeds" in said


def test_seeds_of_an_entry_count_once_for_all_its_rows(
    read: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "MOST_FIXED_SEEDS", 25)

    assert len(read("prompts: [{file: p.txt, seed: 1..20}]", {"p.txt": "a\nb\nc\n"}).rows) == 3


def test_patterns_of_all_rows_together_are_bounded_and_plain_ids_are_not(
    read: Callable[..., Job], complaints: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_PATTERNS", 2)
    table = "prompt,model\na,*flux*\nb,*flux*\nc,*dev\nd,black-forest-labs/flux.1-dev\ne,flux.1-dev\n"

    assert len(read("prompts: [{file: p.csv}]", {"p.csv": table}).rows) == 5
    assert "p.csv:7: the prompts of this job name" in complaints(
        "prompts: [{file: p.csv}]", {"p.csv": table + "f,f*\n"}
    )


def test_one_row_with_many_seeds_comes_after_the_others_are_through(read: Callable[..., Job]) -> None:
    job = read("prompts: [a, {prompt: b, seed: 1..5}, c]\nseeds: {count: 2}")

    assert [task.prompt for task in islice(expand(job, night=""), 20)] == ["a", "b", "c", "a", "b", "c", "b", "b", "b"]


def test_reading_stops_at_two_hundred_mistakes_and_says_so(complaints: Callable[..., str]) -> None:
    for text in (
        "prompts: [" + "''," * 500 + "]",
        "prompts: [" + "[]," * 500 + "]",
        "prompts: [a]\n" + "".join(f"x{n}: 1\n" for n in range(500)),
        "prompts: [a" + ",!x a" * 500 + "]",
    ):
        said = complaints(text)

        assert said.count("job.yaml:1:") + said.count("job.yaml:2:") <= 20
        assert sum(map(int, re.findall(r"(\d+) × ", said))) == MOST_PROBLEMS - 20


def test_each_message_is_one_short_line_whatever_it_names(complaints: Callable[..., str]) -> None:
    word = '"' + "\\e[31m\\n\\r\\u202ek" * 2000 + '"'
    for text in (
        f"prompts: [a]\n{word}: 1\n",
        f"prompts: [a]\nparams: {{{word}: 1}}\n",
        f"prompts: [a]\nmodels: [{word}]\n",
        f"prompts: [a]\nprovider: {word}\n",
        f"prompts: [a]\nvars: {{{word}: [a]}}\noutput: {{name: '{{x}}'}}\n",
        f"prompts: [{{prompt: a, id: {word}}}, {{prompt: b, id: {word}}}]\n",
        f"prompts: [{{file: {word}}}]\n",
        f"prompts: [{{prompt: a, params: {{image: {word}}}}}]\n",
        f"prompts: [a]\nexclude: [{{{word}: 1}}]\n",
        f"prompts: [a]\non_unknown: {word}\n",
        f"prompt: {word}\n",
        f"prompts: [a #{'x' * 9000}\n",
    ):
        for line in complaints(text).splitlines():
            assert line.isprintable(), ascii(line[:300])
            assert len(line) < 1000


def test_a_key_in_a_comment_or_an_odd_place_is_not_repeated(complaints: Callable[..., str]) -> None:
    for text in (
        "prompts:\n  - a lamp # sk-canary123456\n",
        "prompts: [a]\nsk-canary123456: 1\n",
        "prompts: [a]\nmodels: [sk-canary123456]\n",
        "prompts: ['a {Bearer canary123456}']\n",
    ):
        assert "canary123456" not in complaints(text)
