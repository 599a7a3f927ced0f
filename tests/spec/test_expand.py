"""The tasks of a job: their order, their ids, and what neither changes."""

import itertools
from collections.abc import Callable

import pytest

from batchgen.errors import UsageError
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.task import Task

from .conftest import PNG

TWO = "models: [black-forest-labs/flux.1-dev, black-forest-labs/flux-kontext-pro/text-to-image]\n"


def ids(job: Job, night: str = "") -> list[str]:
    return [task.task_id for task in expand(job, night=night)]


def facts(tasks: list[Task]) -> list[tuple[int, str, str]]:
    return [(task.try_number, task.prompt, task.label) for task in tasks]


def test_ids_and_seeds_of_a_job_are_pinned_because_changing_them_makes_users_pay_again(
    read: Callable[..., Job],
) -> None:
    job = read(
        "prompts: [a neon city in the rain, {prompt: a harbour, params: {image: x.png, strength: 1}, seed: 7}]\n"
        "params: {steps: 28, response_format: b64_json}\nextra_params: {lora: a}\n",
        {"x.png": PNG + b"x"},
    )

    assert [(task.seed, task.task_id) for task in expand(job, night="")] == [
        (1756391881, "17079402e638c9d002ed0952ff40ff52319595f5088233800f774205cdf9fbbe"),
        (7, "0113c8eaaf3c38b8f6c93115116de632e03a21b3241f0363414bea1921303aba"),
    ]


def test_the_order_is_try_then_prompt_then_model(read: Callable[..., Job]) -> None:
    job = read(f"prompts: [a, b]\nseeds: {{count: 2}}\n{TWO}")

    assert facts(list(expand(job, night=""))) == [
        (k, prompt, label)
        for k in (1, 2)
        for prompt in ("a", "b")
        for label in ("flux.1-dev", "flux-kontext-pro-text-to-image")
    ]


def test_seeds_are_equal_over_models_and_variables_and_differ_between_prompts(read: Callable[..., Job]) -> None:
    job = read(f"prompts: ['a {{x}}', b]\nvars: {{x: [p, q]}}\nseeds: {{count: 3}}\n{TWO}")
    seeds: dict[tuple[str, int], set[int]] = {}
    for task in expand(job, night=""):
        seeds.setdefault((task.row, task.try_number), set()).add(task.seed)

    assert all(len(found) == 1 for found in seeds.values())
    assert len(set().union(*seeds.values())) == 6


BASE = """\
name: one
prompts: [{id: city, prompt: "a city, {style}, {time}"}]
vars: {style: {ink: black ink, oil: oil paint}, time: [dawn, dusk]}
seeds: {count: 2}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: one", "name: two"),
        ("id: city", "id: town"),
        ("seeds:", "output: {name: '{index}', folder: elsewhere}\nseeds:"),
        ("style", "look"),
        ("ink:", "i:"),
        ("name: one", "name: one\nlimits: {concurrency: 3}\nbudget: {images: 3}\non_unknown: hold"),
        ("seeds:", "params: {response_format: b64_json}\nseeds:"),
        ("prompts: [", "prompts: [{prompt: another}, "),
        ("{ink: black ink, oil: oil paint}", "[black ink, oil paint]"),
    ],
)
def test_renaming_things_buys_nothing(old: str, new: str, read: Callable[..., Job]) -> None:
    before, after = ids(read(BASE)), ids(read(BASE.replace(old, new)))

    assert set(before) <= set(after)
    assert len(after) == len(before) + (2 if "another" in new else 0)


def test_a_label_and_the_spelling_of_a_number_buy_nothing(read: Callable[..., Job]) -> None:
    before = read("prompts: [a]\nmodels: [{id: black-forest-labs/flux.1-dev, params: {guidance_scale: 4, steps: 20}}]")
    after = read(
        "prompts: [a]\nmodels: [{id: black-forest-labs/flux.1-dev, label: x, params: {steps: 20.0, guidance_scale: 4.0}}]"
    )

    assert ids(before) == ids(after)


def test_where_a_field_is_written_buys_nothing_and_its_value_does(read: Callable[..., Job]) -> None:
    job = ids(read("prompts: [a]\nparams: {steps: 20}"))

    assert job == ids(read("prompts: [{prompt: a, params: {steps: 20}}]\nparams: {steps: 10}"))
    assert job == ids(read("prompts: [a]\nvars: {n: [20]}\nparams: {steps: '{n}'}"))
    assert job != ids(read("prompts: [a]\nparams: {steps: 21}"))
    assert job != ids(read("prompts: [a]"))
    assert job != ids(read("prompts: [a]\nparams: {steps: 20}\nextra_params: {x: 1}"))


def test_an_input_picture_is_its_bytes(read: Callable[..., Job]) -> None:
    text = "prompts: [{prompt: a, params: {image: %s}}]"
    one = ids(read(text % "x.png", {"x.png": PNG + b"same"}))

    assert one == ids(read(text % "in/y.png", {"in/y.png": PNG + b"same"}))
    assert one == ids(read(text % "'data:image/png;base64,iVBORw0KGgpzYW1l'"))
    assert one != ids(read(text % "x.png", {"x.png": PNG + b"other"}))


def test_a_rehearsal_on_this_machine_never_counts_as_done_for_the_real_service(read: Callable[..., Job]) -> None:
    real = read("prompts: [a]")
    local = read("prompts: [a]", environment={"MODELVERSE_BASE_URL": "http://127.0.0.1:8000/v1"})

    assert local.identity == "modelverse@local"
    assert ids(real) != ids(local)


def test_equal_tasks_come_once(read: Callable[..., Job]) -> None:
    job = read("prompts: [a b, 'a {x}', {prompt: a b, seed: 5}, {prompt: a b, seed: [5, 6]}]\nvars: {x: [b, c]}")
    tasks = list(expand(job, night=""))

    # a b derived; a {x} derived from another text: b, c; seed 5 once; seed 6
    assert len(tasks) == 1 + 2 + 1 + 1
    assert len({task.task_id for task in tasks}) == len(tasks)
    assert [task.index for task in tasks] == [1, 2, 3, 4, 5]


def test_a_model_that_stands_twice_makes_equal_tasks_once_and_others_each(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [a, {prompt: b, params: {steps: 9}}]\nmodels:\n"
        "  - {id: black-forest-labs/flux.1-dev, label: few, params: {steps: 10}}\n"
        "  - {id: black-forest-labs/flux.1-dev, label: many, params: {steps: 40}}\n"
    )

    assert [(task.prompt, task.label) for task in expand(job, night="")] == [("a", "few"), ("a", "many"), ("b", "few")]


def test_a_row_multiplies_over_the_variables_that_it_uses_under_each_model(read: Callable[..., Job]) -> None:
    job = read(
        f"prompts: [a cat]\nvars: {{way: [one, two], unused: [x, y]}}\n{TWO}params: {{image: 'in/{{way}}.png'}}",
        {"in/one.png": PNG + b"1", "in/two.png": PNG + b"2"},
    )
    tasks = list(expand(job, night=""))

    assert [(task.label, dict(task.vars)) for task in tasks] == [
        ("flux.1-dev", {"way": "one"}),
        ("flux-kontext-pro-text-to-image", {}),
        ("flux.1-dev", {"way": "two"}),
    ]
    assert [task.prompt_id.partition(".")[2] for task in tasks] == ["one", "", "two"]


def test_the_first_tasks_are_the_limit_and_only_narrows_the_plan(read: Callable[..., Job]) -> None:
    job = read(
        f"prompts: [{{id: a, prompt: 'a {{x}}'}}, {{id: b, prompt: b}}]\nvars: {{x: [p, q]}}\nseeds: {{count: 2}}\n{TWO}"
    )
    whole = list(expand(job, night=""))

    assert list(expand(job, night="", limit=5)) == whole[:5]
    assert list(expand(job, night="", limit=0)) == []
    assert list(expand(job, night="", only={"X": "q"})) == [task for task in whole if task.vars.get("x") == "q"]
    assert list(expand(job, night="", only={"model": "*kontext*", "row": "b"})) == [
        task for task in whole if task.row == "b" and "kontext" in task.label
    ]
    assert (
        list(expand(job, night="", only={"try": "2"}, limit=3)) == [task for task in whole if task.try_number == 2][:3]
    )
    assert list(expand(job, night="", only={"prompt_id": "a.q"})) == [task for task in whole if task.prompt_id == "a.q"]
    assert list(expand(job, night="", only={"seed": str(whole[0].seed)})) == [
        t for t in whole if t.seed == whole[0].seed
    ]


@pytest.mark.parametrize(
    ("only", "hint"), [({"modle": "x"}, "model"), ({"x": "pp"}, "did you mean p"), ({"model": "zzz"}, "known are")]
)
def test_an_only_that_the_job_does_not_have_is_refused(
    only: dict[str, str], hint: str, read: Callable[..., Job]
) -> None:
    with pytest.raises(UsageError) as caught:
        expand(read("prompts: ['a {x}']\nvars: {x: [p, q]}"), night="", only=only)

    assert hint in caught.value.hint


JOBS = [
    f"prompts: ['a {{x}}', b, {{prompt: c, model: '*dev*', seed: [1, 2, 3]}}]\nvars: {{x: [p, q]}}\nseeds: {{count: 2}}\n{TWO}",
    f"prompts: ['a {{x}}', a p, a q]\nvars: {{x: [p, q]}}\nseeds: [1, 2]\nexclude: [{{model: '*dev*', x: p}}]\n{TWO}",
]


@pytest.mark.parametrize(("text", "limit"), list(itertools.product(JOBS, [None, 1, 4, 7])))
def test_pools_see_their_part_of_the_same_plan(text: str, limit: int | None, read: Callable[..., Job]) -> None:
    job = read(text)
    whole = list(expand(job, night="", limit=limit))
    parts = [list(expand(job, night="", limit=limit, labels={use.label})) for use in job.models]

    assert sorted((task for part in parts for task in part), key=lambda task: task.index) == whole
    assert all(task.label == use.label for use, part in zip(job.models, parts, strict=True) for task in part)


def test_expansion_is_lazy(read: Callable[..., Job]) -> None:
    axes = ", ".join(f"{name}: [{', '.join(str(n) for n in range(20))}]" for name in "pqr")
    job = read(f"prompts: ['{{p}} {{q}} {{r}}']\nvars: {{{axes}}}\nseeds: {{count: 100}}")

    assert next(expand(job, night="", only={"p": "0"})).index == 1
    assert len(list(expand(job, night="", limit=3))) == 3


def test_the_night_renews_the_seeds_of_those_that_ask_for_it(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [a, {prompt: b, seed: 7}, {prompt: c, seed: {renew: weekly}}]\nseeds: {count: 2, renew: daily}"
    )
    monday, tuesday = (list(expand(job, night=night)) for night in ("2026-03-23", "2026-03-24"))
    same = {task.prompt for task in monday} & {
        task.prompt for task in tuesday if task.task_id in {other.task_id for other in monday}
    }

    assert same == {"b", "c"}
    assert {task.prompt: task.night for task in tuesday} == {"a": "2026-03-24", "b": "", "c": "2026-03-23"}
    with pytest.raises(UsageError, match="no night was named"):
        expand(job, night="")


def test_file_names_follow_the_template(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{id: 'a/b', prompt: 'cat {x}'}]\nvars: {x: {'in:k': ink}}\nseeds: 3\n"
        "output: {name: '{prompt_id}/{x}/{model}_{seed}_{try}_{index}_{night}{row}'}"
    )
    (task,) = expand(job, night="")

    assert task.name == "a-b.in-k/in-k/flux.1-dev_3_1_1_a-b"
    assert task.prompt_id == "a/b.in-k"
    (other,) = expand(read("prompts: [{id: a, prompt: b}]\nseeds: 3\noutput: {name: '../../{id}/{row}'}"), night="")
    assert other.name == f"_/_/{other.task_id[:8]}/a"


def test_variables_stand_in_every_text_field(read: Callable[..., Job]) -> None:
    job = read(
        "prompts: [{prompt: a, params: {negative_prompt: 'no {x} {{y}}'}, extra_params: {deep: [{k: '{x}'}]}}]\n"
        "vars: {x: [p]}\nmodels: [{id: stepfun-ai/step1x-edit, params: {image: 'http://example.org/{x}.png'}}]"
    )
    (task,) = expand(job, night="")

    assert task.params["negative_prompt"] == "no p {y}"
    assert task.params["image"].source == "http://example.org/p.png"
    assert task.extra_params == {"deep": [{"k": "p"}]}
