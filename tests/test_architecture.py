"""The house is as it is drawn: import order from ARCHITECTURE.md, sizes, and the error tree of the docstring."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batchgen"
MODULES = sorted(PACKAGE.rglob("*.py"))
INDEPENDENT = {"sandbox": {"catalog", "spec", "api", "storage", "engine"}}


def rows() -> dict[str, int]:
    """Room -> row, as the table in ARCHITECTURE.md has it."""
    table = re.findall(r"^\| (\d) \| ([^|]+) \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    return {room: int(row) for row, names in table for room in re.findall(r"`(\w+)`", names)}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "batchgen":
            names = [f"batchgen.{each.name}" for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "batchgen" and len(parts) > 1:
                yield parts[1], node.lineno


def test_every_room_stands_in_the_table() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}

    assert set(rows()) == rooms


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_imports_go_upwards_in_the_table_only(path: Path) -> None:
    order, room = rows(), room_of(path)
    if room in {"__init__", "__main__"}:
        return
    wrong = [
        f"{path.name}:{line} imports {other}"
        for other, line in imported_rooms(path)
        if other in order and other != room and (order[other] >= order[room] or other in INDEPENDENT.get(room, set()))
    ]

    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    ]

    assert text.count("\n") <= 450
    assert long == []
    assert ast.get_docstring(tree), "every module says what it owns"


def test_the_environment_is_read_in_one_place() -> None:
    def reads(path: Path) -> bool:
        nodes = ast.walk(ast.parse(path.read_text()))
        return any(isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"} for node in nodes)

    readers = [str(path.relative_to(PACKAGE)) for path in MODULES if reads(path)]

    assert readers == ["cli/environment.py"]


def test_the_error_tree_is_the_one_that_is_drawn() -> None:
    drawn = dict(re.findall(r"── (\w+)\s+(\d)", errors.__doc__ or ""))
    classes = {
        name: str(int(cls.exit_code))
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.BatchgenError) and cls is not errors.BatchgenError
    }

    assert drawn == classes


HEAVY = ("aiohttp", "PIL", "rich.progress")


@pytest.mark.parametrize(
    "verb", [["--help"], ["run", "--help"], ["validate", "jobs/demo.yaml"], ["plan", "jobs/demo.yaml"]]
)
def test_help_validate_and_plan_load_nothing_heavy(verb: list[str]) -> None:
    code = (
        "import sys\n"
        "from batchgen.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print('heavy:', *heavy)\n"
        "    sys.exit(end.code)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_the_story_is_short_enough_to_be_read() -> None:
    assert (ROOT / "ARCHITECTURE.md").read_text().count("\n") <= 120


def test_no_tracked_file_names_a_package_registry_or_a_path_of_this_machine() -> None:
    words = ["py" + r"pi\.org", "python" + "hosted", r"registry\.npm" + "js", r"deb\." + "debian", "/" + "work/main"]
    found = subprocess.run(
        ["git", "grep", "-lIE", "|".join(words)], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert found.stdout == ""
