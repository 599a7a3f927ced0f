"""What README and docs/ say is held to the code: keys, options, events, faults, exit codes, examples and links."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import click
import pytest
import yaml

import batchgen
from batchgen import events
from batchgen.cli.main import cli
from batchgen.errors import Exit
from batchgen.sandbox import faults
from batchgen.spec.load import load_job
from batchgen.spec.schema import JobFile
from batchgen.storage.manifest import FailureRow, ManifestRow

ROOT = Path(__file__).parent.parent
RULES = ROOT / "docs" / "security.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
USER_FILES = [*PAGES, *sorted((ROOT / "jobs").glob("*.yaml"))]

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BASE = {
    "prompts": "prompts: [a lamp]\n",
    "models": "models: [black-forest-labs/flux.1-dev]\n",
}
"""What a fragment of a job lacks."""


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next one of its level or above; code is no heading."""
    blank = _FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    start = re.search(rf"^(#+) {re.escape(title)}$", blank, re.MULTILINE)
    assert start, f"no heading {title}"
    end = re.search(rf"^#{{1,{len(start[1])}}} ", blank[start.end() :], re.MULTILINE)
    return text[start.end() : start.end() + end.start() if end else len(text)]


def rows_of(text: str) -> list[tuple[str, ...]]:
    """The cells of every table row whose first cell is one code span, without its backticks."""
    rows = re.findall(r"^\| (`[^|]*`) \|(.*)\|$", text, re.MULTILINE)
    return [(first.strip("`"), *(cell.strip() for cell in rest.split("|"))) for first, rest in rows]


def own_rows(text: str) -> list[tuple[str, ...]]:
    """The rows of a section without those of its sections."""
    return rows_of(re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0])


def fences(path: Path) -> Iterator[tuple[list[str], str]]:
    for info, body in _FENCE.findall(path.read_text(encoding="utf-8")):
        yield info.split(), body


def yaml_blocks() -> list[Any]:
    found = []
    for path in PAGES:
        for number, (info, body) in enumerate(fences(path)):
            if info[:1] == ["yaml"]:
                found.append(pytest.param(info, body, id=f"{path.name}-{number}"))
    return found


def completed(body: str) -> str:
    present = re.findall(r"^(\w+):", body, re.MULTILINE)
    return "".join(text for key, text in _BASE.items() if key not in present) + body


@pytest.fixture
def job_folder(tmp_path: Path) -> Path:
    """A folder with everything that the pages' jobs name: the products and the prompt files shown beside them."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    for path in PAGES:
        for info, body in fences(path):
            if len(info) == 2 and info[0] == "csv":
                (tmp_path / "jobs" / info[1]).write_text(body, encoding="utf-8")
    for name in ("lamp.jpg", "mug.jpg"):
        shutil.copy(ROOT / "jobs" / "products" / name, tmp_path / "jobs")
    return tmp_path / "jobs"


def test_every_python_example_runs_after_an_init(tmp_path: Path) -> None:
    """In the order of the page, each in a process of its own; a notebook's cells are awaited as a notebook does it."""
    path = tmp_path / "example.py"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    blocks = [block for block in fences(ROOT / "docs" / "python.md") if block[0][:1] == ["python"]]
    assert len(blocks) >= 6

    def run(*words: object) -> str:
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
        return done.stdout

    run("-m", "batchgen", "init")
    said = []
    for info, body in blocks:
        path.write_text(body if "notebook" not in info else _CELL.format(cell=body), encoding="utf-8")
        said.append(run(path))

    assert said[0].startswith("4 pictures to make for about 0.40 CNY\n4 of 4 done; 0.40 CNY spent\n")
    assert len(said[0].splitlines()) == 6
    assert "all done" in said[2]
    assert said[3].count("a harbour at dawn") == 2
    assert said[4] == "{'spent': '0.00 CNY', 'pictures': '0'}\n"
    assert said[5] == "black-forest-labs/flux.1-dev 4 0.4\n"


_CELL = """\
import ast, asyncio, inspect
names = {{}}
cell = ast.parse({cell!r})
cell.body[-1] = ast.Assign([ast.Name("Out", ast.Store())], cell.body[-1].value)
code = compile(ast.fix_missing_locations(cell), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def notebook():
    await eval(code, names)


asyncio.run(notebook())
print(names["Out"])
"""


@pytest.mark.parametrize(("info", "body"), yaml_blocks())
def test_every_job_in_the_pages_can_run(info: list[str], body: str, job_folder: Path) -> None:
    path = job_folder / "page.yaml"
    path.write_text(completed(body) if "fragment" in info else body, encoding="utf-8")

    job = load_job(path, environment={})

    assert job.warnings == ()


def test_the_first_job_of_the_page_makes_as_many_pictures_as_it_says(job_folder: Path) -> None:
    from batchgen.spec.expand import expand

    _, body = next(block for block in fences(ROOT / "docs" / "job-file.md") if block[0] == ["yaml"])
    path = job_folder / "page.yaml"
    path.write_text(body, encoding="utf-8")

    said = re.search(r"with 2 seeds each: (\d+) pictures", text_of("job-file.md"))

    assert said
    assert int(said[1]) == sum(task.pictures for task in expand(load_job(path, environment={}), night=""))


SECTIONS = {
    "JobFile": "Top level",
    "PromptItem": "prompts",
    "ModelItem": "models",
    "ProviderItem": "provider",
    "BudgetItem": "budget",
    "LimitsItem": "limits",
    "OutputItem": "output",
    "LogItem": "log",
    "NotifyItem": "notify",
}


def schema_keys() -> dict[str, set[str]]:
    schema = JobFile.model_json_schema()
    parts = schema["$defs"] | {"JobFile": schema}
    return {name: set(part["properties"]) for name, part in parts.items()}


@pytest.mark.parametrize("part", schema_keys())
def test_the_page_lists_exactly_the_keys_of_a_job_file(part: str) -> None:
    documented = {key for key, *_ in own_rows(section(text_of("job-file.md"), SECTIONS[part])) if "{" not in key}

    assert schema_keys()[part] == documented


def test_every_key_of_a_job_file_stands_in_an_example() -> None:
    shown: dict[str, set[str]] = {part: set() for part in SECTIONS}
    places = {"prompts": "PromptItem", "models": "ModelItem", "budget": "BudgetItem", "provider": "ProviderItem"}
    places |= {"limits": "LimitsItem", "output": "OutputItem", "log": "LogItem", "notify": "NotifyItem"}

    def look(part: str, value: Any) -> None:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                shown[part] |= {"on" if key is True else key for key in item}  # what `on` is to YAML 1.1
                for key in item.keys() & places.keys():
                    look(places[key], item[key])

    for info, body in fences(ROOT / "docs" / "job-file.md"):
        if info[:1] == ["yaml"]:
            look("JobFile", yaml.safe_load(body))

    assert {part: keys - shown[part] for part, keys in schema_keys().items() if keys - shown[part]} == {}


def test_every_word_for_a_file_name_is_listed() -> None:
    from batchgen.spec.names import NAME_WORDS

    page = section(text_of("job-file.md"), "output")

    assert [word for word in NAME_WORDS if f"`{{{word}}}`" not in page] == []


def verbs() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_and_option_stands_in_the_page_and_no_other_does(verb: str) -> None:
    options = {
        name
        for parameter in verbs()[verb].params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    documented = {
        name for row in own_rows(section(text_of("commands.md"), verb)) for name in re.findall("--[a-z-]+", row[0])
    }

    assert options == documented
    assert f"[{verb}](#{verb})" in text_of("commands.md")


def command_lines() -> list[Any]:
    found = []
    for path in USER_FILES:
        text = path.read_text(encoding="utf-8")
        lines = re.findall(r"`(batchgen [^`\n]+)`", text) if path.suffix == ".md" else []
        lines += re.findall(r"^#   (?:.*? )?(batchgen .+)$", text, re.MULTILINE) if path.suffix == ".yaml" else []
        for info, body in fences(path):
            lines += re.findall(r"^(?:\w+=\S+ )*(batchgen .+)$", body, re.MULTILINE) if info[:1] == ["sh"] else []
        found += [pytest.param(line, id=f"{path.name}: {line}"[:90]) for line in dict.fromkeys(lines)]
    return found


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_in_the_pages_is_understood(line: str) -> None:
    words = shlex.split(line.partition("   ")[0], comments=True)[1:]
    if {"--help", "--version"} & {*words}:
        words = [word for word in words if word not in {"--help", "--version"}]
        assert words == [] or words[0] in verbs()
        return
    verb, *arguments = words
    if arguments == [] and verb in verbs():
        return  # the verb is spoken of, not called

    verbs()[verb].make_context(verb, [argument.strip("[]") for argument in arguments])


def test_the_commands_that_a_job_tells_to_type_name_the_job_itself() -> None:
    wrong = [
        f"{path.name}: {named}"
        for path in (ROOT / "jobs").glob("*.yaml")
        for named in re.findall(r"batchgen \w+ jobs/([\w-]+\.yaml)", path.read_text())
        if named != path.name
    ]

    assert wrong == []


def kinds() -> list[type[events.Event]]:
    found = [value for value in vars(events).values() if isinstance(value, type) and issubclass(value, events.Event)]
    return [kind for kind in found if kind is not events.Event]


def in_json(kind: Any) -> str:
    """The page's word for a Python type."""
    if get_origin(kind) is UnionType:
        return " or ".join("null" if part is NoneType else in_json(part) for part in get_args(kind))
    if get_origin(kind) is tuple:
        return "list"
    if get_origin(kind) is dict:
        return "object"
    return {str: "text", bool: "true/false", int: "number", float: "number", Decimal: "money"}[kind]


def fields_of(kind: type[Any]) -> list[tuple[str, str]]:
    hints = get_type_hints(kind)
    return [(field.name, in_json(hints[field.name])) for field in dataclasses.fields(kind) if field.name != "at"]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_every_event_stands_in_the_page_with_its_keys_and_types(kind: type[events.Event]) -> None:
    rows = [(key, word) for key, word, *_ in own_rows(section(text_of("events.md"), kind.name))]
    expected = fields_of(kind) + (fields_of(events.PoolPlan) if kind is events.RunStarted else [])

    assert expected == rows


def test_the_page_has_no_event_that_does_not_exist() -> None:
    titles = re.findall(r"^### (\w+)$", section(text_of("events.md"), "Events"), re.MULTILINE)

    assert [kind.name for kind in kinds()] == titles


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A real run with a stored picture and a refused one: its folder, its report and its status."""
    home = tmp_path_factory.mktemp("ran")
    job = home / "jobs" / "two.yaml"
    job.parent.mkdir()
    job.write_text(
        "provider: sandbox\nprompts: [a lamp, 'a lamp [[fault:400-content]]']\n"
        "models: [black-forest-labs/flux.1-dev]\nparams: {size: 256x256, steps: 1}\n"
    )

    def batchgen_says(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "batchgen", *arguments],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
            cwd="/",
            check=False,
        )
        assert done.returncode in {Exit.DONE, Exit.TASKS_FAILED}, done.stderr
        return done.stdout

    report = json.loads(batchgen_says("run", str(job), "--json").splitlines()[-1])["report"]
    status = json.loads(batchgen_says("status", str(job), "--json"))
    return home / "outputs" / "two", report, status


def paths_in(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        yield f"{prefix}{key}"
        if f"{prefix}{key}" in {"money.other", "flags", "this_run", "by_scope"}:
            continue  # their keys are data, or those of `money`
        if isinstance(item, dict):
            yield from paths_in(item, f"{prefix}{key}.")
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            yield from paths_in(item[0], f"{prefix}{key}[].")


def type_in_json(value: Any) -> str:
    words = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object"}
    return words[type(value)]


def test_the_page_lists_exactly_the_keys_of_a_report(ran: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, report, status = ran
    rows = own_rows(section(text_of("events.md"), "The report"))
    added = [key for key in status if key not in report]

    assert {*paths_in(report), *added} == {key for key, *_ in rows}
    assert len(rows) == len({key for key, *_ in rows})
    assert report["this_run"].keys() == report["money"].keys() == next(iter(report["by_scope"].values())).keys()
    said = {key: word.replace("money", "text") for key, word, *_ in rows if "." not in key}
    for key, value in status.items():
        if value is None:
            assert said[key].endswith(" or null"), key
        else:
            assert said[key].removesuffix(" or null") == type_in_json(value), key


@pytest.mark.parametrize(
    ("file", "title", "row"),
    [("manifest.jsonl", "The manifest", ManifestRow), ("failures.jsonl", "The failures", FailureRow)],
)
def test_the_page_lists_exactly_the_columns_of_a_table(
    file: str, title: str, row: type[Any], ran: tuple[Path, dict[str, Any], dict[str, Any]]
) -> None:
    line = json.loads((ran[0] / file).read_text(encoding="utf-8").splitlines()[0])
    documented = [(key, word) for key, word, *_ in own_rows(section(text_of("events.md"), title))]

    assert [(key, type_in_json(value)) for key, value in line.items()] == documented
    assert len(documented) == len(dataclasses.fields(row))


def test_every_flag_is_explained() -> None:
    code = "".join(path.read_text() for path in [ROOT / "batchgen" / "engine" / "downloads.py"])
    stored = re.findall(r'^        "(\w+)": ', section_of_function(code, "_stored"), re.MULTILINE)
    landings = (ROOT / "batchgen" / "storage" / "landings.py").read_text()

    assert {*stored, *re.findall(r'flags\.append\("([\w-]+)"\)', landings)} == {
        flag for flag, *_ in rows_of(section(text_of("events.md"), "Flags"))
    }


def section_of_function(code: str, name: str) -> str:
    return code.partition(f"def {name}(")[2].partition("\ndef ")[0]


def test_every_fault_of_the_sandbox_is_explained() -> None:
    rows = {
        kind: words for kind, words, *_ in rows_of(section(text_of("sandbox.md"), "Faults")) if kind in faults.KINDS
    }

    assert {kind: words.replace("|", "") for kind, words in faults.KINDS.items()} == rows


@pytest.mark.parametrize("written", re.findall(r"^\| `(504[^`]*)` \|", text_of("sandbox.md"), re.MULTILINE))
def test_every_way_to_write_a_fault_is_understood(written: str) -> None:
    assert [fault.kind for fault in faults.parse_faults(written)] == ["504"]


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "docs" / "paid-work.md"], ids=lambda path: path.name
)
def test_every_exit_code_is_explained(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    table = "".join(re.findall(r"^\| [\d, ]+ \|.*$", text, re.MULTILINE))

    assert [int(code) for code in Exit if not re.search(rf"\b{int(code)}\b", table)] == []


def test_the_version_has_its_place_in_the_changelog() -> None:
    assert re.search(rf"^## \[{re.escape(batchgen.__version__)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("path", USER_FILES, ids=lambda path: path.name)
def test_users_read_users_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()

    assert [word for word in ("ambiguous", "simply", "blazing", "seamless") if word in text] == []


def test_every_security_rule_stands_beside_tests_that_exist() -> None:
    rows = [line for line in RULES.read_text().splitlines() if line.startswith("| ") and not line.startswith("| rule")]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.split("|")[2])
        assert named, row
        for file, name in named:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), row
    assert len(rows) > 40
