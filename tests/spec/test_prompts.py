"""Prompts from entries and from files: text byte for byte, and what each column means."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.spec.expand import expand
from batchgen.spec.job import Job, PromptFile, Seeds
from batchgen.spec.task import Task

from .conftest import PNG

HARD = [
    '"HELLO" sign',
    "'single' quotes",
    'it\'s "both" of them',
    "a 🦊 in the ☔ with a flag 🏳️‍🌈",
    "霓虹城市，雨夜：霓虹灯",
    "rich markup [/b] and [link=x]y[/link]",
    "braces {{ and }} doubled",
    "a sign: open",
    "a car #3 # of four",
    "back\\slash \\n and 100% of it",
    "tab\tin the middle",
    "  leading and trailing  ",
    "- not a list",
    "=SUM(A1:A2)",
    "right-to-left \u202eoverride",
]


def tasks_of(job: Job) -> list[Task]:
    return list(expand(job, night=""))


def plain_braces(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


def as_csv(texts: list[str]) -> str:
    return "prompt\r\n" + "".join('"' + text.replace('"', '""') + '"\r\n' for text in texts)


@pytest.mark.parametrize(
    ("file", "content", "texts"),
    [
        ("p.txt", "\n".join(HARD), HARD),
        ("p.txt", "\r\n".join(HARD), HARD),
        ("p.csv", as_csv([*HARD, "two\r\nlines"]), [*HARD, "two\r\nlines"]),
        (
            "p.tsv",
            "prompt\n" + "\n".join(text for text in HARD if "\t" not in text),
            [t for t in HARD if "\t" not in t],
        ),
        ("p.jsonl", "\n".join(json.dumps({"prompt": text}) for text in [*HARD, "two\nlines"]), [*HARD, "two\nlines"]),
    ],
)
def test_hard_prompts_come_out_of_files_byte_for_byte(
    file: str, content: str, texts: list[str], read: Callable[..., Job]
) -> None:
    assert [row.prompt for row in read(f"prompts: [{{file: {file}}}]", {file: content}).rows] == texts
    assert [task.prompt for task in tasks_of(read(f"prompts: [{{file: {file}}}]", {file: content}))] == [
        plain_braces(text) for text in texts
    ]
    literal = read(f"prompts: [{{file: {file}, literal: true}}]", {file: content})
    assert [task.prompt for task in tasks_of(literal)] == texts


def test_hard_prompts_come_out_of_yaml_byte_for_byte(read: Callable[..., Job]) -> None:
    lines = ["prompts:"]
    lines += ["  - " + json.dumps(text, ensure_ascii="\u202e" in text).replace("\\/", "/") for text in HARD]
    lines += ["  - '" + text.replace("'", "''") + " (single)'" for text in HARD if "\u202e" not in text]
    expected = HARD + [f"{text} (single)" for text in HARD if "\u202e" not in text]

    assert [task.prompt for task in tasks_of(read("\n".join(lines)))] == [plain_braces(text) for text in expected]


def test_a_text_file_has_comments_and_empty_lines(read: Callable[..., Job]) -> None:
    job = read("prompts: [{file: p.txt}]", {"p.txt": "\ufeff# animals\n\na cat\n  # more\n   \na dog"})

    assert [row.prompt for row in job.rows] == ["a cat", "a dog"]
    assert [row.place for row in job.rows] == ["p.txt:3", "p.txt:6"]


def test_a_template_may_wrap_the_lines_of_a_file(read: Callable[..., Job]) -> None:
    job = read("prompts: [{file: p.txt, prompt: 'a photo of {prompt}'}]", {"p.txt": "a cat\na dog"})

    assert [task.prompt for task in tasks_of(job)] == ["a photo of a cat", "a photo of a dog"]


def test_columns_are_themselves_fields_or_variables(read: Callable[..., Job]) -> None:
    table = (
        "ID,Prompt,Model,Seed,Steps,SIZE,mood\n"
        "one,a {mood} cat,*flux*,7,20,512x512,calm\n"
        "two,a dog,,1|2,,,\n"
        "three,an owl,,-1,,,wild\n"
    )
    job = read("prompts: [{file: p.csv}]\nseeds: {count: 2}", {"p.csv": table})
    one, two, three = job.rows

    assert (one.id, one.models, one.seeds) == ("one", ("*flux*",), Seeds(fixed=(7,)))
    assert (one.params, one.columns) == ({"steps": 20, "size": "512x512"}, {"mood": "calm"})
    assert (two.models, two.seeds, two.params, two.columns) == (None, Seeds(fixed=(1, 2)), {}, {})
    assert three.seeds == Seeds()
    assert [task.prompt for task in tasks_of(job)] == ["a calm cat", "a dog", "an owl", "a dog"]
    assert job.files == (
        PromptFile(
            path="p.csv", rows=3, sent=("steps", "size"), variables=("id", "prompt", "model", "seed", "mood"), unused=()
        ),
    )


def test_with_a_template_every_other_column_is_a_variable_and_unused_ones_are_told(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{file: p.csv, id: 'x-{SKU}', prompt: 'a {Animal}'}]",
        {"p.csv": "sku,animal,size,note\n1,fox,512x512,hm\n"},
    )
    (task,) = tasks_of(job)

    assert (task.row, task.prompt, dict(task.params)) == ("x-1", "a fox", {})
    assert dict(task.vars) == {"sku": "1", "animal": "fox", "size": "512x512", "note": "hm"}
    assert job.files[0] == PromptFile("p.csv", 1, (), ("sku", "animal"), ("size", "note"))


def test_a_request_body_as_it_stands_is_a_line_of_jsonl(read: Callable[..., Job]) -> None:
    body = {"model": "black-forest-labs/flux.1-dev", "prompt": "a cat", "n": 2, "seed": -1, "steps": 20, "image": None}
    job = read("prompts: [{file: p.jsonl}]", {"p.jsonl": json.dumps(body) + "\n"})
    (task,) = tasks_of(job)

    assert (task.prompt, dict(task.params), task.pictures) == ("a cat", {"n": 2, "steps": 20}, 2)


def test_lists_split_at_a_bar_or_hold_json(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{file: p.csv}]\nmodels: [black-forest-labs/flux-kontext-pro/multi]",
        {
            "p.csv": 'prompt,images\na,x.png|y.png\nb,"[""x.png"", ""http://example.org/z.png""]"\n',
            "x.png": PNG + b"x",
            "y.png": PNG + b"y",
        },
    )
    first, second = (task.params["images"] for task in tasks_of(job))

    assert [picture.source for picture in first] == ["x.png", "y.png"]
    assert [picture.source for picture in second] == ["x.png", "http://example.org/z.png"]


def test_pictures_in_a_file_are_relative_to_the_file_that_names_them(read: Callable[..., Job], tmp_path: Path) -> None:
    job = read(
        "prompts: [{file: data/p.csv}, {prompt: b, params: {image: in/y.png}}]",
        {"data/p.csv": "prompt,image\na,in/x.png\n", "data/in/x.png": PNG + b"x", "in/y.png": PNG + b"y"},
    )
    paths = [task.params["image"].path for task in tasks_of(job)]

    assert paths == [str(tmp_path / "data/in/x.png"), str(tmp_path / "in/y.png")]


def test_a_cell_may_hold_a_variable(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{file: p.csv}]\nvars: {style: [ink, oil]}",
        {"p.csv": "prompt,image\na cat,in/{style}.png\n", "in/ink.png": PNG + b"1", "in/oil.png": PNG + b"2"},
    )

    assert [task.params["image"].source for task in tasks_of(job)] == ["in/ink.png", "in/oil.png"]


def test_another_encoding_is_read_when_it_is_named(read: Callable[..., Job], complaints: Callable[..., str]) -> None:
    files = {"p.txt": "霓虹城市".encode("gb18030"), "q.txt": "霓虹".encode("utf-16")}

    assert read("prompts: [{file: p.txt, encoding: gb18030}]", files).rows[0].prompt == "霓虹城市"
    assert read("prompts: [{file: q.txt, encoding: utf-16}]", files).rows[0].prompt == "霓虹"
    assert "name its encoding, such as `encoding: gb18030`" in complaints("prompts: [{file: p.txt}]", files)
    assert "this file is UTF-16 text" in complaints("prompts: [{file: q.txt}]", files)
    assert "there is no encoding klingon" in complaints("prompts: [{file: p.txt, encoding: klingon}]", files)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("p.csv", 'prompt\n"HELLO" sign\n', "p.csv:2: the quotation marks of this record do not match"),
        ("p.csv", 'prompt\na\n"never closed\n', "p.csv:3: the quotation marks of this record do not match"),
        ("p.csv", "prompt\na, b\n", "p.csv:2: this record has 2 cells, the first line names 1 columns"),
        ("p.csv", "prompt,PROMPT\na,b\n", "the column `prompt` stands twice"),
        ("p.csv", "", "this file is empty"),
        ("p.csv", "prompt\n", "p.csv holds no prompts"),
        ("p.csv", "text\na\n", "p.csv:2: this prompt is empty"),
        ("p.csv", "prompt,steps\na,many\n", "p.csv:2: `steps` must be a whole number"),
        ("p.csv", "prompt,seed\na,-5\n", "p.csv:2: `seed` must be"),
        ("p.csv", "prompt,model\na,zzz\n", "p.csv:2: `model: zzz` is none of the job's models"),
        ("p.csv", "id,prompt\nx,a\nx,b\n", "p.csv:3: the id `x` stands twice"),
        ("p.csv", "prompt,image\na,no.png\n", "p.csv:2: cannot read the picture no.png"),
        ("p.csv", "prompt,mood\na {mood} cat,\n", "the column `mood` is empty here, and the prompt needs it"),
        ("p.csv", "prompt\na {mood} cat\n", "p.csv:2: the prompt names {mood}"),
        ("p.csv", "prompt,negative_prompt\na,b\n", "p.csv:2: no model of this job takes `negative_prompt`"),
        ("p.txt", "a\0b", "p.txt:1: a NUL character"),
        ("p.txt", "# nothing\n", "p.txt holds no prompts"),
        ("p.txt", "a { b", "p.txt:1: the brace { names no variable"),
        ("p.jsonl", "{\n", "p.jsonl:1:2: this line is not JSON"),
        ("p.jsonl", "[1]\n", "p.jsonl:1: this line is not a JSON object"),
        ("p.jsonl", '{"prompt": "a", "prompt": "b"}\n', "a key stands twice in it"),
        ("p.jsonl", '{"prompt": "\\ud800"}\n', "half a character"),
        ("p.jsonl", '{"prompt": NaN}\n', "this line is not JSON"),
        ("p.jsonl", "[" * 100_000, "more than 50 deep"),
        ("p.jsonl", '{"prompt": "a", "steps": true}\n', "`steps` must be a whole number"),
        ("p.xlsx", "x", "prompt files end in .txt, .csv, .tsv, .jsonl"),
    ],
)
def test_a_mistake_in_a_prompt_file_is_told_with_its_line(
    file: str, content: str, said: str, complaints: Callable[..., str]
) -> None:
    assert said in complaints(f"prompts: [{{file: {file}}}]", {file: content})


def test_mistakes_of_the_entry_of_a_file(complaints: Callable[..., str]) -> None:
    files = {"p.csv": "sku,prompt\n1,a\n,b\n"}

    assert "there is no file nope.csv" in complaints("prompts: [{file: nope.csv}]")
    assert "the column `sku` is empty, and `id` needs it" in complaints("prompts: [{file: p.csv, id: '{sku}'}]", files)
    assert "`id` names {skew}, which is no column of p.csv" in complaints(
        "prompts: [{file: p.csv, id: '{skew}'}]", files
    )


def test_two_equal_prompts_without_ids_get_ids_of_their_own(read: Callable[..., Job]) -> None:
    job = read("prompts: [a cat, {prompt: a cat, params: {steps: 5}}]")
    first, second = (row.id for row in job.rows)

    assert second == f"{first}-2"


def test_rows_of_a_file_differ_in_their_seeds_and_default_ids(read: Callable[..., Job]) -> None:
    job = read("prompts: [{file: p.csv, prompt: 'a {animal}'}]", {"p.csv": "animal\nfox\nowl\n"})
    tasks = tasks_of(job)

    assert len({task.seed for task in tasks}) == 2
    assert [task.row[:6] for task in tasks] == ["a-fox-", "a-owl-"]
    assert tasks[0].seed == tasks_of(read("prompts: [a fox]"))[0].seed


@pytest.mark.parametrize("written", ['["in/{a}", "in/{b}"]', '"in/{a}|in/{b}"'])
def test_a_row_without_a_second_picture_has_one(written: str, read: Callable[..., Job]) -> None:
    job = read(
        f"prompts: [{{file: p.csv, params: {{images: {written}}}}}]\nmodels: [black-forest-labs/flux-kontext-pro/multi]",
        {"p.csv": "prompt,a,b\none,x.png,\ntwo,x.png,y.png\n", "in/x.png": PNG + b"x", "in/y.png": PNG + b"y"},
    )

    assert [[picture.source for picture in task.params["images"]] for task in expand(job, night="")] == [
        ["in/x.png"],
        ["in/x.png", "in/y.png"],
    ]


def test_a_row_without_any_picture_is_told(complaints: Callable[..., str]) -> None:
    told = complaints(
        'prompts: [{file: p.csv, params: {images: ["{a}", "{b}"]}}]\nmodels: [black-forest-labs/flux-kontext-pro/multi]',
        {"p.csv": "prompt,a,b\none,,\n"},
    )

    assert "p.csv:2: the column `a` is empty here, and `images` needs it" in told
    assert "extra_params" not in told
