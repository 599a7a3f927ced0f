"""What people really type, and the line written right that they are shown."""

from collections.abc import Callable

import pytest

from batchgen.errors import JobError
from batchgen.spec.job import Job
from batchgen.spec.schema import JobFile


@pytest.mark.parametrize(
    ("given", "said", "right"),
    [
        ("prompts: [a cup, a lamp #2]\n", "everything from ` #` on is a comment", 'prompts: [a cup, "a lamp #2"]'),
        ("prompts:\n  - {style} city\n", "a text that begins with { needs quotes", '- "{style} city"'),
        ("prompts:\n  - {{style}} city\n", "a text that begins with { needs quotes", '- "{{style}} city"'),
        ("prompts:\n  - {style}\n", "a text that begins with { needs quotes", '- "{style}"'),
        ("prompts:\n  - [big] city\n", "a text that begins with [ needs quotes", '- "[big] city"'),
        ('prompts:\n  - "HELLO" sign\n', "a text that begins with a quotation mark", "- '\"HELLO\" sign'"),
        ('prompts:\n  - id: x\n    prompt: "HI" it\'s\n', "a quotation mark", "prompt: '\"HI\" it''s'"),
        ("prompts:\n  - style: man\n", "this reads as a key `style`", '- "style: man"'),
        ("prompts:\n  - a sign: open: now\n", "a colon and a space", '- "a sign: open: now"'),
        ("prompts：\n  - a\n", "full-width colon", "prompts:"),
        ("name： x\nprompts:\n  - a\n", "full-width colon", "name: x"),
        ("prompts:\n  - prompt： a cat\n", "full-width colon", "- prompt: a cat"),
        ("prompts:\n  - a\nseeds:7\n", "a space is missing after the colon", "seeds: 7"),
        ("prompts:\n  - a red car #3 on a road\n", "this would be lost: #3 on a road", '"a red car #3 on a road"'),
        ("prompts:\n  - prompt: a car #3\n", "this would be lost: #3", '"a car #3"'),
        ("prompts:\n  - #1 dad mug\n", "this would be lost: #1 dad mug", '- "#1 dad mug"'),
        ("prompts: ['{s}']\nvars: {s: [x]}\nvars2: 1\n", "there is no key `vars2`", "did you mean `vars`"),
        ("prompts: ['a {s}']\nvars:\n  s:\n    - ink #2\n", "this would be lost: #2", '"ink #2"'),
        ("prompts:\n\t- a\n", "indented with a tab", "- a"),
        ("prompts:\n  - @home\n", "a text that begins with @ needs quotes", '- "@home"'),
        ("prompts:\n  - *bold* text\n", "a text that begins with * needs quotes", '- "*bold* text"'),
        ("prompt: a cat\n", "`prompt` is a field of the API's request", 'prompts: ["a cat"]'),
        ("prompts: [a]\nmodel: x/y\n", "`model` is a field of the API's request", "models: [x/y]"),
        ("prompts: [a]\nsteps: 28\n", "`steps` is a field of the API's request", "params: {steps: 28}"),
        ("prompts: [a]\nsize: 512x512\n", "`size` is a field", 'params: {size: "512x512"}'),
        ("prompts: [a]\nseed: 7\n", "`seed` is a field", "seeds: 7"),
        ("prompts: a cat\n", "`prompts` must be a list", "write `prompts:` and below it"),
        ("just a text\n# models: none\n", "this file is one text", "begin with `prompts:`"),
        ("- a\n- b\n# models: none\n", "this file is a list", "begin with `prompts:`"),
    ],
)
def test_a_usual_slip_gets_the_line_written_right(
    given: str, said: str, right: str, complaints: Callable[..., str]
) -> None:
    told = complaints(given)

    assert said in told
    assert right in told


def test_a_pasted_request_body_is_told_once_per_line_and_nothing_else(complaints: Callable[..., str]) -> None:
    told = complaints("model: black-forest-labs/flux.1-dev\nprompt: a cat\nn: 2\nmodels_: 1\n")

    assert told.count("is a field of the API's request") == 3
    assert "missing" not in told


@pytest.mark.parametrize(
    "given",
    [
        "prompts: [a]\napi_key: sk-canary123456\n",
        "prompts: [a]\nprovider: {name: modelverse, api_key: sk-canary123456}\n",
        "prompts: [a]\nprovider: {name: modelverse, api_key_env: sk-canary123456}\n",
        "prompts: [a]\nextra_params: {headers: {Authorization: Bearer sk-canary123456}}\n",
        "prompts: [a]\nextra_params: {token: canary123456}\n",
        'prompts: [a]\napi_key: "sk-canary123456" x\n',
        "prompts: [a]\napi_key： sk-canary123456\n",
        "prompts: [a]\n\tapi_key: sk-canary123456\n",
        "prompts: [a]\nprovider: {base_url: 'https://me:canary123456@example.org/v1'}\n",
        "prompts: [a]\nprovider: {proxy: 'http://me:canary123456@example.org'}\n",
    ],
)
def test_a_secret_in_a_job_file_is_refused_and_never_repeated(given: str, complaints: Callable[..., str]) -> None:
    assert "canary123456" not in complaints(given)


def test_words_about_secrets_are_fine_as_variables_and_in_prompts(read: Callable[..., Job]) -> None:
    job = read("prompts: ['a {token} with a password: x']\nvars: {token: [gold, silver]}")

    assert list(job.variables) == ["token"]


def test_comments_that_stand_on_their_own_line_or_behind_quotes_are_fine(read: Callable[..., Job]) -> None:
    job = read('# top\nprompts:\n  # first\n  - "a car #3" # said\n  - b\n')

    assert [row.prompt for row in job.rows] == ["a car #3", "b"]


def test_a_full_width_colon_inside_of_a_prompt_is_text(read: Callable[..., Job]) -> None:
    assert read("prompts:\n  - 一只猫：黑色\n").rows[0].prompt == "一只猫：黑色"


def test_nothing_but_a_job_error_comes_of_a_file_of_odd_types(read: Callable[..., Job]) -> None:
    odd = ["1", "[]", "{}", "x", "true", "", "[{}]", "[[1]]", "{a: [1]}", "[~]", "{~: 1}", "-1.5", "{a: {b: {c: 1}}}"]
    keys = [*JobFile.model_fields]
    base = {"prompts": "[a]", "models": "[black-forest-labs/flux.1-dev]"}
    refused = 0
    for key in keys:
        for value in odd:
            text = "".join(f"{name}: {item}\n" for name, item in (base | {key: value}).items())
            try:
                read(text)
            except JobError:
                refused += 1
    assert refused > len(keys) * 7
