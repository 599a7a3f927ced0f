"""docs/errors.md explains every message that a user can meet: the words are collected from the code, and compared."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from batchgen import errors

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
GAP = "…"
"""Stands for what differs from one time to the next: a name, a number, the system's own words."""

MOST_OF_IT = 0.35
"""How much of a message's letters the words of its section have to be: the rest may be one of several endings."""

CALLS = {
    "Ending": 1,
    "FetchFailed": 0,
    "LinkDead": 0,
    "LinkRefused": 0,
    "MissingPictureError": 0,
    "Outcome": 3,
    "Stop": 0,
    "TemplateError": 0,
    "UnusableAnswer": 0,
    "_FileError": 0,
    "_LineError": 0,
    "_fatal": 3,
    "_note_at": 2,
    "_outcome": 4,
    "_problem": 2,
    "_stop": 1,
    "end_picture": 3,
    "note": 1,
    "problem": 3,
    "warn": 0,
}
"""Which argument of a call is read by the user, beside the first one of every error."""
METHODS = {
    ("mistakes", "add"): 1,
    ("mistakes", "add_line"): 2,
    ("warnings", "append"): 0,
}
"""The same for methods whose name alone says too little: by what they are called on."""
FUNCTIONS: dict[tuple[str, str], int | None] = {
    ("notify/delivery.py", "_ask_apprise"): None,
    ("notify/delivery.py", "_deliver"): None,
    ("spec/syntax.py", "_explain_line"): 2,
    ("engine/space.py", "_look"): None,
    ("cli/execute.py", "_renew_gallery"): None,
    ("cli/telling.py", "_missing"): None,
    ("api/dialects.py", "_not_json"): None,
    ("notify/delivery.py", "_run"): None,
    ("api/call.py", "_tls_words"): None,
    ("notify/delivery.py", "_try"): 0,
    ("storage/walks.py", "_what_else"): None,
    ("api/dialects.py", "_wrong_inline"): None,
    ("api/dialects.py", "_wrong_link"): None,
    ("spec/endpoint.py", "_wrong_url"): 0,
    ("storage/backup.py", "back_up"): None,
    ("api/call.py", "describe"): None,
    ("cli/telling.py", "ended"): None,
    ("spec/syntax.py", "explain_colon"): 2,
    ("spec/syntax.py", "explain_syntax"): 2,
    ("notify/delivery.py", "misfit"): None,
    ("spec/unattended.py", "misfits"): 1,
}
"""What these give back is read by the user: their text, or the text at this place of their tuples."""
TABLES = {
    ("api/call.py", "_CERTIFICATE_WORDS"): None,
    ("engine/pool.py", "words"): None,
    ("storage/disk.py", "_WORDS"): 0,
    ("storage/walks.py", "_TEXT_KINDS"): 1,
}
"""Words in a table, or in this place of its tuples."""

OF_OTHERS = {"", "error.message", "message", "str(error)"}
"""Code of messages without words of their own, anywhere: where they begin they are collected."""
PASSED_ON = {
    ("api/call.py", "_tls_words(error, host)"),
    ("api/dialects.py", "_not_json(body, secret)"),
    ("api/fetch.py", "describe(error, str(self._url))"),
    ("api/fetch.py", "describe(error, str(url))"),
    ("cli/environment.py", "f'{file}: {str(reason).lower()}'"),
    ("cli/recipe.py", "f'{picture}: {in_words(error).lower()}'"),
    ("cli/telling.py", "warnings"),
    ("engine/inputs.py", "f'{picture.path}: {in_words(error).lower()}'"),
    ("engine/pool.py", "f'{words}: {message}'"),
    ("engine/pool.py", "getattr(error, 'message', 'something unexpected happened')"),
    ("engine/pool.py", "trouble"),
    ("notify/delivery.py", "failed"),
    ("spec/beginnings.py", "problems"),
    ("spec/load.py", "line"),
    ("spec/mistakes.py", "self._in_order()"),
    ("spec/wording.py", "list(problems)"),
    ("spec/yaml_reader.py", "[problem(file, line, column, message, hint, 'unreadable file')]"),
    ("spec/yaml_reader.py", "self.problems"),
    ("spec/yaml_reader.py", "sorted(self.problems, key=lambda problem: (problem.line, problem.column))"),
    ("storage/disk.py", "f'{shown}: {what}'"),
    ("storage/walks.py", "_what_else(data)"),
    ("storage/walks.py", "kind"),
}
"""The same, each with its file."""
PIECES = {
    "`base_url` …",
    "`proxy` …",
    "gallery: …",
    "… (prompt …, model …)",
    "its folder holds no ledger",
}
"""Words around or within others that the page explains."""


@dataclass(frozen=True)
class Said:
    """One wording: where, the code that it comes from, and its words with GAP in them."""

    place: str
    code: str
    words: str

    @property
    def file(self) -> str:
        return self.place.partition(":")[0]


@dataclass
class Reader:
    """Collects what one file says."""

    file: str
    errors: frozenset[str]
    found: list[Said] = field(default_factory=list)

    def read(self, node: ast.AST, scopes: tuple[ast.AST, ...] = ()) -> None:
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            scopes = (*scopes, node)
        for expression in self.spoken(node):
            for words in wordings(expression, scopes):
                self.found.append(Said(f"{self.file}:{expression.lineno}", ast.unparse(expression), words))
        for child in ast.iter_child_nodes(node):
            self.read(child, scopes)

    def spoken(self, node: ast.AST) -> Iterator[ast.expr]:
        match node:
            case ast.Call():
                at = self.argument(node.func)
                if at is not None and len(node.args) > at:
                    yield node.args[at]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if (self.file, name) in FUNCTIONS:
                yield from given_back(node, FUNCTIONS[self.file, name])
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if (self.file, name) in TABLES:
                yield from in_table(value, TABLES[self.file, name])
            case ast.Assign(targets=[ast.Attribute(attr="warning")], value=value):
                yield value

    def argument(self, function: ast.expr) -> int | None:
        name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
        if name in self.errors:
            return 0
        if isinstance(function, ast.Attribute):
            owner = ast.unparse(function.value).rpartition(".")[2]
            return METHODS.get((owner, name), CALLS.get(name))
        return CALLS.get(name)


def in_table(table: ast.expr, at: int | None) -> Iterator[ast.expr]:
    """The words of a dictionary (also one that is looked up at once) or of a tuple of tuples."""
    table = table.value if isinstance(table, ast.Subscript) else table
    entries = table.values if isinstance(table, ast.Dict) else table.elts if isinstance(table, ast.Tuple) else []
    for entry in entries:
        yield entry.elts[at] if isinstance(entry, ast.Tuple) and at is not None else entry


def given_back(function: ast.AST, at: int | None) -> Iterator[ast.expr]:
    """What a function returns, or puts into the list that it returns."""
    for node in ast.walk(function):
        match node:
            case (
                ast.Return(value=ast.Tuple(elts=parts))
                | ast.Call(func=ast.Attribute(attr="append"), args=[ast.Tuple(elts=parts)])
            ) if at is not None:
                yield parts[at]
            case ast.Return(value=ast.expr() as value) if at is None:
                yield value


def wordings(node: ast.expr, scopes: tuple[ast.AST, ...]) -> list[str]:
    """Every wording that an expression may have; a name stands for whatever its function gives it."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return joined(parts, scopes)
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return joined([left, right], scopes)
        case ast.IfExp(body=body, orelse=other):
            return [*wordings(body, scopes), *wordings(other, scopes)]
        case ast.BoolOp(values=parts) | ast.List(elts=parts):
            return [text for part in parts for text in wordings(part, scopes)]
        case (
            ast.Call(func=ast.Name(id="harmless" | "clean"), args=[inner, *_])
            | ast.FormattedValue(value=ast.Name() | ast.IfExp() | ast.Call() as inner)
        ):
            return wordings(inner, scopes)
        case ast.Name(id=name):
            return assigned(name, scopes) or [GAP]
    return [GAP]


def joined(parts: list[ast.expr], scopes: tuple[ast.AST, ...]) -> list[str]:
    """Every wording of some parts behind each other."""
    found = [""]
    for part in parts:
        found = [before + after for before in found for after in wordings(part, scopes)]
    return found


def assigned(name: str, scopes: tuple[ast.AST, ...]) -> list[str]:
    """The wordings that a name is given in the nearest scope that gives it any."""
    for scope in reversed(scopes):
        found: list[str] = []
        # What stands in the functions of a module is theirs.
        nodes = scope.body if isinstance(scope, ast.Module) else ast.walk(scope)
        for node in nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=each)], value=value) if each == name:
                    found += wordings(value, ())
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    pairs = zip(names, values, strict=False)
                    found += [text for to, value in pairs if ast.unparse(to) == name for text in wordings(value, ())]
        if found:
            return list(dict.fromkeys(found))
    return []


@cache
def collected() -> tuple[Said, ...]:
    """Everything that the code says, in the order of its files and lines."""
    files = sorted((ROOT / "batchgen").rglob("*.py"))
    trees = {str(path.relative_to(ROOT / "batchgen")): ast.parse(path.read_text(encoding="utf-8")) for path in files}
    names = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while more := {each.name for each in classes if names & {ast.unparse(base) for base in each.bases}} - names:
        names |= more
    found: list[Said] = []
    for file, tree in trees.items():
        reader = Reader(file, frozenset(names))
        reader.read(tree)
        found += reader.found
    return tuple(dict.fromkeys(found))


@cache
def fixed(words: str) -> tuple[str, ...]:
    """What never changes in a wording, in its order."""
    plain = re.sub(r"[`\\]", "", words)
    parts = (part.strip(" :;,.()“”'\n") for part in plain.split(GAP))
    return tuple(" ".join(part.split()) for part in parts if re.search(r"\w", part))


@cache
def sections() -> tuple[str, ...]:
    """The wordings that the page explains: its lower headings, and what stands in front in its tables."""
    found: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            found.append(line.removeprefix("### "))
        elif (row := re.match(r"\| (.+?) \|", line)) and not line.startswith(("| message |", "| code |")):
            found += row[1].split("<br>")
    return tuple(found)


def explains(section: str, words: str) -> bool:
    """Whether the fixed words of a section stand in a wording, in their order, and are most of it."""
    said = " ".join(fixed(words))
    at = 0
    for part in fixed(section):
        found = said.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return sum(map(len, fixed(section))) >= MOST_OF_IT * len(said) > 0


def test_every_message_is_explained() -> None:
    missing = [
        f"{said.place}: {said.words}"
        for said in collected()
        if fixed(said.words)
        and said.words not in PIECES
        and not any(explains(section, said.words) for section in sections())
    ]

    assert missing == []


def test_every_message_without_words_of_its_own_is_known() -> None:
    own = {(said.file, said.code) for said in collected() if fixed(said.words)}
    bare = {(said.file, said.code) for said in collected() if not fixed(said.words)} - own

    assert {(file, code) for file, code in bare if code.strip("'") not in OF_OTHERS} == PASSED_ON


def test_the_page_explains_nothing_that_is_never_said() -> None:
    said = [said.words for said in collected()]

    assert [each for each in sections() if "…" in each and not any(explains(each, words) for words in said)] == []
