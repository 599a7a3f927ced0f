"""`batchgen init` and `schema`: every job that they write runs, holds no key, and completes in an editor."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from batchgen.catalog.catalog import load_provider
from batchgen.cli.main import cli
from batchgen.errors import BatchgenError
from batchgen.spec.expand import expand
from batchgen.spec.job import Job
from batchgen.spec.load import load_job
from batchgen.spec.yaml_reader import read_yaml

ROOT = Path(__file__).parents[2]
CURL = ROOT / "tests" / "golden" / "page-curl.sh"
Init = Callable[..., Job]


def invoke(*arguments: object, paste: str = "") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=paste, catch_exceptions=False)


@pytest.fixture
def init(tmp_path: Path) -> Init:
    """What `init` writes, read back; its schema accepts it, and it has no mistake and no warning."""

    def run(*options: object, paste: str = "") -> Job:
        path = tmp_path / "jobs" / "new.yaml"
        result = invoke("init", path, *options, paste=paste)
        assert result.exit_code == 0, result.output
        assert f"batchgen run {path}" in result.output
        text = path.read_text(encoding="utf-8")
        first = text.splitlines()[0]
        assert first == "# yaml-language-server: $schema=.batchgen.schema.json"
        schema = json.loads((path.parent / ".batchgen.schema.json").read_text())
        assert list(Draft202012Validator(schema).iter_errors(read_yaml(text.encode(), "x").value)) == []
        job = load_job(path, environment={})
        assert job.warnings == ()
        return job

    return run


def tasks(job: Job) -> int:
    return sum(task.pictures for task in expand(job, night=""))


def test_the_first_job_is_small_free_and_bounded(init: Init) -> None:
    job = init()

    assert (job.provider.name, tasks(job), job.budgets[0].images) == ("sandbox", 4, 5)


@pytest.mark.parametrize("model", sorted(load_provider("modelverse").models))
def test_a_first_job_for_every_model_runs_as_it_is(model: str, init: Init) -> None:
    job = init("--models", model, "--provider", "modelverse")

    assert [use.model.id for use in job.models] == [model]
    assert job.provider.name == "modelverse"
    assert tasks(job) == 4


def test_several_models_are_named_by_their_ends_each_once(init: Init) -> None:
    job = init("--models", "flux.1-dev, flux-kontext-pro,flux.1-dev")

    assert [use.label for use in job.models] == ["flux.1-dev", "flux-kontext-pro"]
    assert job.budgets[0].images == tasks(job) == 8


def test_the_pages_curl_call_becomes_the_job_that_asks_for_the_same(init: Init) -> None:
    job = init("--from-curl", CURL)
    (task,) = expand(job, night="")

    assert (job.provider.name, job.base_url) == ("modelverse", "https://api.modelverse.cn/v1")
    assert task.model == "black-forest-labs/flux-kontext-pro/text-to-image"
    assert task.prompt.startswith("Retro game style, man in old school suit")
    assert dict(task.params) == {}
    assert job.budgets[0].images == 5


def test_a_pasted_call_keeps_fields_seed_and_braces_and_loses_its_key(init: Init, tmp_path: Path) -> None:
    body = {"model": "black-forest-labs/flux.1-dev", "prompt": 'a "cup" {of} tea: hot # now', "seed": 7, "n": 2}
    body |= {"size": "512x512", "odd": {"deep": [1, "x{y}"]}, "negative_prompt": None}
    job = init(
        *("--from-curl", "-"),
        paste=f"curl https://api.umodelverse.ai/v1/images/generations -H 'Authorization: Bearer sk-abcdefgh' -d '{json.dumps(body)}'",
    )
    (task,) = expand(job, night="")

    assert (task.prompt, task.seed, dict(task.params)) == (body["prompt"], 7, {"n": 2, "size": "512x512"})
    assert task.extra_params == {"odd": {"deep": [1, "x{y}"]}}
    assert job.base_url == "https://api.modelverse.cn/v1"
    assert "abcdefgh" not in (tmp_path / "jobs" / "new.yaml").read_text()


def test_a_call_to_another_address_keeps_it_unless_a_provider_is_named(init: Init, tmp_path: Path) -> None:
    call = """curl http://127.0.0.1:8700/v1/images/generations -d '{"model": "flux.1-dev", "prompt": "a"}'"""

    assert init("--from-curl", "-", paste=call).base_url == "http://127.0.0.1:8700/v1"
    shutil.rmtree(tmp_path / "jobs")
    assert init("--from-curl", "-", "--provider", "sandbox", paste=call).provider.name == "sandbox"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"prompt": "a"}', "no `model`"),
        ('{"model": "flux.1-dev"}', "no `prompt`"),
        ('{"model": "flux.1-deb", "prompt": "a"}', "did you mean"),
        ('{"model": "flux.1-dev", "prompt": "a", "api_key": "abcdefgh"}', "looks like a key"),
    ],
)
def test_a_call_that_makes_no_job_is_told_and_nothing_is_written(body: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BatchgenError) as caught:
        invoke("init", tmp_path / "a.yaml", "--from-curl", "-", paste=f"curl https://x.example/v1 -d '{body}'")

    assert said in f"{caught.value.message} {caught.value.hint}"
    assert "abcdefgh" not in f"{caught.value.message} {caught.value.hint}"
    assert list(tmp_path.iterdir()) == []


def table(folder: Path, text: str, name: str = "shop.csv", encoding: str = "utf-8") -> Path:
    shutil.copytree(ROOT / "jobs" / "products", folder, dirs_exist_ok=True)
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_of_products_gets_its_columns_filled_in(init: Init, tmp_path: Path) -> None:
    job = init(
        "--from-csv",
        table(tmp_path / "in put", "SKU,Photo,Instruction\nA1,mug.jpg,on a table\nB2,lamp.jpg,in a room\n"),
    )
    found = list(expand(job, night=""))

    assert [(task.prompt_id, task.prompt) for task in found] == [("A1", "on a table"), ("B2", "in a room")]
    assert [Path(task.params["image"].path).name for task in found] == ["mug.jpg", "lamp.jpg"]
    assert [task.name for task in found] == ["A1/step1x-edit-1", "B2/step1x-edit-1"]
    assert job.budgets[0].images == 10


def test_rows_with_two_pictures_and_with_one_in_chinese_out_of_a_spreadsheet(init: Init, tmp_path: Path) -> None:
    text = "货号,描述,主图,副图\nA1,把杯子放在木桌上,mug.jpg,lamp.jpg\nB2,把椅子放在森林里,chair.jpg,\n"
    job = init("--from-csv", table(tmp_path, text, encoding="gb18030"), "--encoding", "gb18030")
    found = list(expand(job, night=""))

    assert [use.label for use in job.models] == ["flux-kontext-pro-multi"]
    assert [task.prompt for task in found] == ["把杯子放在木桌上", "把椅子放在森林里"]
    assert [[Path(each.path).name for each in task.params["images"]] for task in found] == [
        ["mug.jpg", "lamp.jpg"],
        ["chair.jpg"],
    ]


def test_a_table_with_the_columns_of_the_api_needs_no_template(init: Init, tmp_path: Path) -> None:
    job = init("--from-csv", table(tmp_path, "id,prompt,steps\nx,a cup,20\ny,a lamp,30\n"), "--models", "flux.1-dev")

    assert [(task.prompt_id, task.params["steps"]) for task in expand(job, night="")] == [("x", 20), ("y", 30)]
    assert "params" not in (tmp_path / "jobs" / "new.yaml").read_text()


def test_a_list_of_prompts_is_enough(init: Init, tmp_path: Path) -> None:
    job = init("--from-csv", table(tmp_path, "a cup\na lamp\n", name="list.txt"))

    assert [task.prompt for task in expand(job, night="")] == ["a cup", "a lamp"]


def test_what_a_job_still_lacks_is_said_and_the_job_is_written(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("sku,photo,text\nA,none.jpg,a cup\n")

    result = invoke("init", tmp_path / "new.yaml", "--from-csv", source)

    assert result.exit_code == 0
    assert "does not run yet" in result.output
    assert "cannot read the picture none.jpg" in result.output
    assert (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column with a text in every row (found: a, b)"),
        ("prompt\n", "holds no prompts"),
        ("", "this file is empty"),
        ("描述\n把杯子\n", "--encoding gb18030"),
    ],
)
def test_a_table_that_makes_no_job_is_told(text: str, said: str, tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_bytes(text.encode("gb18030"))

    with pytest.raises(BatchgenError) as caught:
        invoke("init", tmp_path / "new.yaml", "--from-csv", source)

    assert said in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--from-curl", str(CURL), "--from-csv", "x.csv"],
        ["--from-curl", str(CURL), "--models", "flux.1-dev"],
        ["--encoding", "utf-8"],
        ["--models", " , "],
        ["--models", "flux.2"],
        ["--provider", "modelvers"],
        ["--from-curl", "not-there.txt"],
        ["--from-csv", "not-there.csv"],
        ["--from-csv", str(ROOT / "jobs" / "demo.yaml")],
    ],
)
def test_options_that_do_not_fit_are_told_with_what_to_do(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(BatchgenError) as caught:
        invoke("init", tmp_path / "new.yaml", *options)

    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious")

    with pytest.raises(BatchgenError, match="exists already") as caught:
        invoke("init", path)

    assert caught.value.exit_code == 2
    assert path.read_text() == "precious"
    assert sorted(tmp_path.iterdir()) == [path]


def test_schema_prints_and_writes_the_same(tmp_path: Path) -> None:
    printed = invoke("schema").output
    written = tmp_path / "schema.json"

    assert invoke("schema", "--output", written).exit_code == 0
    assert written.read_text(encoding="utf-8") == printed
    Draft202012Validator.check_schema(json.loads(printed))
    with pytest.raises(BatchgenError, match="cannot be written"):
        invoke("schema", "--output", tmp_path / "none" / "schema.json")


def test_names_that_mean_something_in_yaml_stay_names(init: Init, tmp_path: Path) -> None:
    text = 'name,"say ""what""",link,photo\na,a cup,https://shop.example/a,mug.jpg\nb,a lamp,https://shop.example/b,lamp.jpg\n'
    job = init("--from-csv", table(tmp_path / "in: {put} #1", text))
    found = list(expand(job, night=""))

    assert [(task.prompt_id, task.prompt) for task in found] == [("a", "a cup"), ("b", "a lamp")]
    assert [Path(task.params["image"].path).name for task in found] == ["mug.jpg", "lamp.jpg"]


def test_links_are_pictures_where_the_column_says_so(init: Init, tmp_path: Path) -> None:
    text = "sku,photo,text\na,https://cdn.example/1,a cup\nb,https://cdn.example/2,a lamp\n"
    job = init("--from-csv", table(tmp_path, text))

    assert [task.params["image"].source for task in expand(job, night="")] == [
        "https://cdn.example/1",
        "https://cdn.example/2",
    ]


def test_a_path_with_odd_letters_breaks_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "a\nprompts: [evil]"

    result = invoke("init", path)

    written = next(tmp_path.glob("*.yaml"))
    assert result.exit_code == 0
    assert len(load_job(written, environment={}).rows) == 2
    assert "evil" not in written.read_text().replace("# ", "#").split("provider:", 1)[1]
