"""A job file as a whole: the example of the design, where things go, and what is refused."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.spec.expand import expand
from batchgen.spec.job import Budget, Job, Limits, Seeds
from batchgen.spec.load import load_job

from .conftest import PNG

EXAMPLE = """\
name: neon-city                       # default: the file's stem
provider: modelverse                  # default; `sandbox` needs no key and costs nothing
prompts:
  - a neon city in the rain, {style}
  - id: harbour                       # default: a slug of the prompt + 4 hex digits of its hash
    prompt: a harbour at {time}, {style}
    params: {guidance_scale: 4}       # request fields for this row
    model: "*flux.1-dev"              # only these models (id, label or glob; a list too)
    seed: 7                           # only this seed
  - file: animals.csv                 # .txt (a line each, # comments), .csv, .tsv, .jsonl
    id: "{sku}"                       # templates over its columns; without `prompt:` the column `prompt` is it
    prompt: "{animal} on a plinth, {style}"
    params: {image: "photos/{photo}"}
vars:                                 # every variable is an axis; a map gives short names
  style: {ink: black ink wash on rough paper, oil: thick oil paint}
  time: [dawn, dusk]
models:
  - black-forest-labs/flux.1-dev
  - id: black-forest-labs/flux-kontext-pro/text-to-image
    label: wide                       # needed when one model stands twice
    params: {aspect_ratio: 16:9}
    limits: {concurrency: 6}
seeds: {count: 4}                     # 7 | [1, 2] | 1..4 | {count: 4} | {count: 4, renew: daily}; default {count: 1}
params: {steps: 28}                   # for every model that takes it; the plan says where it was left out
exclude: [{model: "*kontext*", style: oil}]
budget: {images: 500, cost: 50}       # over everything this folder ever spent or may have spent
on_unknown: retry                     # or hold: what to do with a call of unknown outcome
limits: {concurrency: 16, requests_per_minute: 60, timeout: 300, give_up_after: 30m}      # of the whole run
output: {folder: outputs/neon-city, name: "{prompt_id}/{model}-{seed}-{id}"}
"""
ANIMALS = {
    "animals.csv": "sku,animal,photo\nfox-1,a fox,fox.png\nowl-1,an owl,owl.png\ncat-1,a cat,cat.png\n",
    "photos/fox.png": PNG + b"fox",
    "photos/owl.png": PNG + b"owl",
    "photos/cat.png": PNG + b"cat",
}


def test_the_example_of_the_design_is_read_as_it_says(read: Callable[..., Job], tmp_path: Path) -> None:
    job = read(EXAMPLE, ANIMALS, name="jobs/neon.yaml")

    assert job.name == "neon-city"
    assert job.identity == "modelverse"
    assert job.base_url == "https://api.modelverse.cn/v1"
    assert job.key_env == "MODELVERSE_API_KEY"
    assert [use.label for use in job.models] == ["flux.1-dev", "wide"]
    assert job.models[1].params == {"aspect_ratio": "16:9"}
    assert job.models[1].limits == Limits(concurrency=6)
    assert job.limits == Limits(concurrency=16, requests_per_minute=60, timeout_s=300, give_up_after_s=1800)
    assert job.budgets == (Budget(images=500, cost=Decimal(50)),)
    assert job.seeds == Seeds(count=4)
    assert job.output.folder == tmp_path / "outputs/neon-city"
    assert job.variables["time"] == {"dawn": "dawn", "dusk": "dusk"}
    assert [row.id for row in job.rows][1:] == ["harbour", "fox-1", "owl-1", "cat-1"]
    assert job.warnings == ()


def test_the_example_has_the_tasks_that_a_person_would_count(read: Callable[..., Job]) -> None:
    tasks = list(expand(read(EXAMPLE, ANIMALS), night=""))

    # city:    4 tries × (flux: ink, oil; wide: ink, because oil is excluded there) = 4 × 3      = 12
    # harbour: 1 seed  × flux alone × 2 times × 2 styles                            = 1 × 4      =  4
    # animals: 4 tries × 3 animals × (flux: ink, oil; wide: ink)                    = 4 × 3 × 3  = 36
    assert len(tasks) == 12 + 4 + 36
    assert len({task.task_id for task in tasks}) == 52
    assert len({task.name for task in tasks}) == 52
    assert [task.index for task in tasks] == list(range(1, 53))
    assert [task.try_number for task in tasks] == sorted(task.try_number for task in tasks)


def test_a_short_name_stands_in_the_prompt_id_in_the_order_of_the_text(read: Callable[..., Job]) -> None:
    tasks = list(expand(read(EXAMPLE, ANIMALS), night=""))
    ids = [task.prompt_id for task in tasks if task.row == "harbour"]

    assert ids == ["harbour.dawn.ink", "harbour.dawn.oil", "harbour.dusk.ink", "harbour.dusk.oil"]
    assert {task.prompt for task in tasks if task.prompt_id == "fox-1.ink"} == {
        "a fox on a plinth, black ink wash on rough paper"
    }


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("jobs/foo.yaml", "outputs/foo"),
        ("jobs/night/foo.yaml", "outputs/foo"),
        ("elsewhere/foo.yaml", "elsewhere/outputs/foo"),
    ],
)
def test_the_default_folder_is_beside_the_jobs_folder_else_beside_the_job(
    file: str, folder: str, read: Callable[..., Job], tmp_path: Path
) -> None:
    assert read("prompts: [a]", name=file).output.folder == tmp_path / folder


def test_nothing_depends_on_the_working_directory(
    read: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = read("prompts: [{prompt: a, params: {image: in/x.png}}]", {"in/x.png": PNG + b"x"}, name="jobs/foo.yaml")
    monkeypatch.chdir(tmp_path / "jobs")

    assert load_job(Path("foo.yaml"), environment={}) == job


def test_a_name_is_made_safe_for_the_folder(read: Callable[..., Job], tmp_path: Path) -> None:
    job = read("name: ../evil/..\nprompts: [a]")

    assert job.output.folder.parent == tmp_path / "outputs"


@pytest.mark.parametrize(
    ("text", "seconds"), [("300", 300.0), ("90s", 90.0), ("30m", 1800.0), ("1h30m", 5400.0), ("0.5", 0.5)]
)
def test_times_are_seconds_or_carry_their_unit(text: str, seconds: float, read: Callable[..., Job]) -> None:
    assert read(f"prompts: [a]\nlimits: {{timeout: {text}}}").limits.timeout_s == seconds


def test_several_budgets_hold_at_once_and_money_is_exact(read: Callable[..., Job]) -> None:
    job = read("prompts: [a]\nbudget: [{cost: 0.10, per: day}, {images: 5}]")

    assert job.budgets == (Budget(cost=Decimal("0.10"), per="day"), Budget(images=5))


def test_fields_given_on_the_command_line_win(read: Callable[..., Job]) -> None:
    text = "prompts: [{prompt: a, params: {steps: 10}, seed: 3}]\nparams: {steps: 20}"
    task = next(expand(read(text, sets=["steps=30", "seed=9", "size=512x512"]), night=""))

    assert (dict(task.params), task.seed) == ({"steps": 30, "size": "512x512"}, 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("stepps=3", "did you mean steps"),
        ("steps=x", "`steps` must be a whole number"),
        ("steps", "write it as --set steps=28"),
        ("model=x", "--set takes request fields"),
        ("negative_prompt=x", "no model of this job takes `negative_prompt`"),
        ("seed=-5", "a whole number from 0"),
    ],
)
def test_a_wrong_set_is_refused(given: str, message: str, complaints: Callable[..., str]) -> None:
    assert message in complaints("prompts: [a]", sets=[given])


def test_a_file_that_is_not_there_is_a_usage_error_that_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "neon.yaml").write_text("prompts: [a]")
    with pytest.raises(UsageError) as caught:
        load_job(tmp_path / "neno.yaml", environment={})

    assert "there is no file" in caught.value.message
    assert "neon.yaml" in caught.value.hint
    with pytest.raises(UsageError, match="is a folder"):
        load_job(tmp_path, environment={})
    with pytest.raises(UsageError):
        load_job(tmp_path / "no\0name", environment={})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("prompts: [a]\nmodels: [flux.1-dev]", "did you mean black-forest-labs/flux.1-dev"),
        ("prompts: [a]\nmodels: [x/flux.1-dev, zzz]", "has no model `zzz`"),
        ("prompts: [a]\nparams: {stepps: 2}", "job.yaml:2:10: modelverse has no field `stepps`"),
        ("prompts: [a]\nparams: {seed: 2}", "`seed` has no place in `params`"),
        ("prompts: [a]\nparams: {steps: }", "`steps` has no value"),
        ("prompts: [a]\nparams: {steps: true}", "`steps` must be a whole number"),
        ("prompts: [a]\nparams: {steps: '28'}", "write it as a number: 28"),
        ("prompts: [a]\nparams: {size: 2000x10}", "each side from 256 to 1536, such as 1024x1024, not 2000x10"),
        ("prompts: [a]\nvars: {w: [9, 512]}\nparams: {size: '{w}x512'}", "such as 1024x1024, not 9x512"),
        ("prompts: [a]\nparams: {size: 512×512}", "write: 512x512"),
        ("prompts: [a]\nparams: {negative_prompt: x}", "no model of this job takes `negative_prompt`"),
        ("prompts: [{prompt: a, params: {images: [x.png]}}]", "no model of this job takes `images`"),
        ("prompts: [a]\nextra_params: {n: 4}", "`n` has no place in `extra_params`"),
        ("prompts: [a]\nextra_params: {x: .nan}", "cannot be sent"),
        ("prompts: [a]\nseeds: -5", "`seeds` must be a whole number from 0 to 9999999999"),
        ("prompts: [{prompt: a, seed: -5}]", "job.yaml:1:29: `seed` must be a whole number"),
        ("prompts: [a]\nseeds: 12345678901", "`seeds` must be"),
        ("prompts: [a]\nbudget: {per: day}", "this budget bounds nothing"),
        ("prompts: [a]\nbudget: {cost: .inf}", "`budget.cost` must be a number"),
        ("prompts: [a]\nlimits: {timeout: soon}", "a time such as 300"),
        ("prompts: [a]\nlimits: {concurrency: true}", "`limits.concurrency` must be a whole number"),
        ("prompts: [a]\non_unknown: ask", "`on_unknown` must be one of retry, hold"),
        ("prompts: [a]\nvars: {style: {}}", "`vars.style` must be longer"),
        ("prompts: [a]\nvars: {style: 3}", "`vars.style` must be a list or a mapping"),
        ("prompts: [a]\nvars: {model: [x]}", "a variable cannot be called `model`"),
        ("prompts: ['{style}']\nvars: {style: [x, x]}", "`x` stands twice"),
        ("prompts: ['a {styl}']\nvars: {style: [x]}", "did you mean {style}"),
        ("prompts: ['a {zzz}']", "write {{zzz}} for braces"),
        ("prompts: ['a { b']", "names no variable; write {{"),
        ("prompts: [{id: x, prompt: a}, {id: x, prompt: b}]", "the id `x` stands twice"),
        ("prompts: ['']", "this prompt is empty"),
        ("prompts: ['{x}']\nvars: {x: {none: ''}}", "is empty with some values"),
        ("prompts: [{id: x}]", "this entry has no prompt"),
        ("prompts: [42]", 'write it in quotes: "42"'),
        ("prompts: []", "`prompts` is empty"),
        ("prompts: [a]\nmodels: []", "`models` is empty"),
        ("models: [black-forest-labs/flux.1-dev]", "`prompts` is missing"),
        ("prompts: [{prompt: a, model: '*pro*'}]", "is none of the job's models"),
        ("prompts: [a]\nexclude: [{modle: x}]", "did you mean `model`"),
        ("prompts: [a]\nexclude: [{model: zzz}]", "`model: zzz` matches nothing"),
        ("prompts: ['{s}']\nvars: {s: [ink, oil]}\nexclude: [{s: oyl}]", "did you mean oil"),
        ("prompts: [a]\noutput: {name: '{idd}'}", "did you mean {id}"),
        ("prompts: [a]\nprovider: modelvers", "did you mean modelverse"),
        ("prompts: [a]\nnotify: [{to: slak}]", "`notify[1].to` must be one of webhook, slack"),
        ("prompts: [a]\nnotify: [{to: slack}]", "`to: slack` needs `url_env`"),
        ("prompts: [a]\nnotify: [{to: slack, url: 'https://x'}]", "did you mean `url_env`"),
        ("prompts: [a]\nnotify: [{to: slack, url_env: 'https://hooks.x/T0'}]", "write `url_env: SLACK_WEBHOOK`"),
        ("prompts: [a]\nnotify: [{to: slack, url_env: A, secret_env: B}]", "messages to slack are not signed"),
        ("prompts: [a]\nnotify: [{to: command, command_env: PATH}]", "begins with BATCHGEN_NOTIFY_"),
        ("prompts: [a]\nnotify: [{to: command, url_env: A}]", "a command has no `url_env`"),
        ("prompts: [a]\nnotify: [{to: slack, url_env: A, command_env: B}]", "`command_env` is for `to: command`"),
        ("prompts: [a]\nnotify: [{to: heartbeat, url_env: A, on: [start]}]", "a heartbeat hears of every start"),
        ("prompts: [a]\nnotify: [{to: slack, url_env: A, on: [fail]}]", "one of start, success, failure, change"),
        ("prompts: [a]\nnotify: [{to: slack, url_env: A, on: []}]", "`notify[1].on` must be longer"),
        ("prompts: [a]\ncanary: true", "`canary` must be a whole number"),
        ("prompts: [{prompt: a, params: {image: no.png}}]", "cannot read the picture no.png: there is no such file"),
        ("prompts: [{prompt: a, params: {image: 'data:image/png;base64,!!'}}]", "with the whole picture in it"),
        ("prompts: [{prompt: a, seeds: 3}]", "did you mean `seed`"),
        (
            "prompts: [a]\nmodels: [black-forest-labs/flux.1-dev, black-forest-labs/flux.1-dev]",
            "give each entry a `label` of its own",
        ),
        (
            "prompts: [a]\nmodels: [{id: black-forest-labs/flux.1-dev, params: {aspect_ratio: '1:1'}}]",
            "flux.1-dev does not take `aspect_ratio`",
        ),
        (
            "prompts: [{id: cat, prompt: a}]\nmodels: [black-forest-labs/flux-kontext-pro]",
            "flux-kontext-pro needs `image`, and the prompt cat has none",
        ),
    ],
)
def test_a_mistake_is_told_with_what_was_expected(given: str, message: str, complaints: Callable[..., str]) -> None:
    told = complaints(given)

    assert message in told
    assert "job.yaml:" in told


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(complaints: Callable[..., str]) -> None:
    told = complaints(
        "bugdet: 3\nprompts: [a, 7, '{x}', {prompt: b, steps: 3}]\nmodels: [zzz]\nseeds: -5\n"
        "limits: {timeout: soon}\nparams: {stepps: 1}\noutput: {nmae: x}\n"
    )
    lines = [int(line.split(":")[1]) for line in told.splitlines() if line.startswith("job.yaml")]

    assert lines == [1, 2, 2, 2, 3, 4, 5, 6, 7]


def test_after_twenty_mistakes_the_rest_is_counted_by_kind(complaints: Callable[..., str]) -> None:
    told = complaints("prompts:\n" + "".join(f"  - 'a {{x{n}}}'\n" for n in range(50)))

    assert told.count("job.yaml:") == 20
    assert "and more: 30 × unknown variable" in told


def test_every_missing_input_picture_is_named_at_once(complaints: Callable[..., str]) -> None:
    told = complaints(
        "prompts:\n  - {id: one, prompt: a, params: {image: no.png}}\n"
        '  - {id: two, prompt: "b {x}", params: {image: "in/{x}.png"}}\nvars: {x: [p, q]}',
        {"in/p.png": PNG + b"p", "empty.png": b""},
    )

    assert "cannot read the picture no.png: there is no such file (prompt one, model flux.1-dev)" in told
    assert "cannot read the picture in/q.png: there is no such file (prompt two, model flux.1-dev)" in told
    assert "in/p.png" not in told


def test_a_picture_of_an_excluded_combination_need_not_be_there(read: Callable[..., Job]) -> None:
    job = read(
        'prompts: [{prompt: "b {x}", params: {image: "in/{x}.png"}}]\nvars: {x: [p, q]}\nexclude: [{x: q}]',
        {"in/p.png": PNG + b"p"},
    )

    assert [task.vars["x"] for task in expand(job, night="")] == ["p"]


def test_a_row_that_is_excluded_from_a_model_need_not_have_what_it_requires(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{id: a, prompt: a}, {id: b, prompt: b, params: {image: x.png}}]\n"
        "models: [black-forest-labs/flux-kontext-pro]\nexclude: [{row: a}]",
        {"x.png": PNG + b"x"},
    )

    assert [task.row for task in expand(job, night="")] == ["b"]


def test_a_field_written_for_one_model_does_not_serve_another(complaints: Callable[..., str]) -> None:
    told = complaints(
        "prompts: [a]\nmodels:\n  - {id: black-forest-labs/flux-kontext-pro, params: {image: x.png}}\n"
        "  - black-forest-labs/flux-kontext-max\n",
        {"x.png": PNG + b"x"},
    )

    assert "flux-kontext-max needs `image`" in told
    assert "flux-kontext-pro needs" not in told


def test_a_mistake_of_a_model_stands_at_its_own_line_even_after_a_bad_one(complaints: Callable[..., str]) -> None:
    told = complaints(
        "prompts: [a]\nmodels:\n  - zzz\n  - {id: black-forest-labs/flux.1-dev, params: {steps: x}}\n",
    )

    assert "job.yaml:4:56: `steps` must be a whole number" in told


def test_what_is_odd_but_no_mistake_is_a_warning(read: Callable[..., Job], tmp_path: Path) -> None:
    job = read("prompts: [a]\nvars: {style: [x]}\nseeds: 9999999999")
    warned: list[str] = []
    load_job(tmp_path / "job.yaml", environment={}, warn=warned.append)

    assert tuple(warned) == job.warnings
    assert "the variable `style` is used by no prompt" in warned[0]
    assert "the seed 9999999999 is above 2147483646" in warned[1]
    assert read("prompts: [a]\nseeds: 2147483646").warnings == ()


def test_a_folder_name_that_nobody_can_see_is_refused(complaints: Callable[..., str]) -> None:
    for folder in ('"a\\0b"', '"a\\e[31m"', '"a\\nb"', '"\\u202ea"'):
        said = complaints(f"prompts: [a]\noutput: {{folder: {folder}}}")

        assert "job.yaml:2:18: `output.folder` holds characters that cannot be seen" in said


def test_texts_of_the_command_line_that_are_no_text_are_refused(complaints: Callable[..., str]) -> None:
    assert "--set steps: cannot be used\n    it is not UTF-8 text" in complaints("prompts: [a]", sets=["steps=\udcff"])


def test_a_job_file_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a\udcff.yaml"
    path.write_text("prompts: [a]\nmodels: [black-forest-labs/flux.1-dev]\n")

    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load_job(path, environment={})


def test_rules_to_leave_out_are_bounded(read: Callable[..., Job], complaints: Callable[..., str]) -> None:
    rules = "prompts: [{prompt: a, id: x}]\nexclude:\n" + "  - {row: x, seed: 1}\n" * 1000

    assert len(read(rules).exclude) == 1000
    assert "`exclude` must be shorter: 1,000 entries are the most" in complaints(rules + "  - {row: x, seed: 1}\n")


def test_a_missing_file_is_not_proposed_as_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").symlink_to("nowhere.yaml")

    with pytest.raises(UsageError) as caught:
        load_job(tmp_path / "job.yaml", environment={})

    assert "did you mean" not in caught.value.hint


def test_an_address_in_a_job_file_is_refused_and_shown_nowhere(complaints: Callable[..., str]) -> None:
    for key in ("url_env", "secret_env", "url"):
        assert "T0KEN" not in complaints(f"prompts: [a]\nnotify: [{{to: feishu, {key}: 'https://x.example/T0KEN'}}]")
