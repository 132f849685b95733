"""Docstrings of all public modules, classes, functions and methods: what can be checked of them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).parents[1] / "src" / "learnedrecon"
Function = ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(
    r"(Args|Attributes|Raises|Returns|Yields|Type parameters|Example|Examples|Note|Notes):$"
)
ENTRY = re.compile(r" {4}(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*)(?: \([^)]*\))?:(?: (.*))?$")
QUESTION = re.compile(
    r"(What|How|Whether|Why|When|Where|Which|Who|Does|Do|Is|Are|Can|Should|May)\b(?!-)"
)
# An argument is a noun phrase: it does not go on with a sentence that its name began.
FRAGMENT = re.compile(
    r"(?i)(of|how|what|whether|if|when|where|which|as|from|to|by|so|with|is|are)\b"
)
# A word of two letters or more in lower case; symbols such as y, λ and ‖T‖ stand as they are.
LOWER_CASE = re.compile(r"[a-z][a-z']+\b")
RIDDLES = (
    "leave away",
    "left away",
    "leaves away",
    "and four would",
)


@dataclass(frozen=True)
class Docstring:
    """One public docstring, the names of the arguments it owes, and the errors it owes."""

    where: str
    kind: str
    text: str
    arguments: tuple[str, ...] | None = None
    raised: frozenset[str] = field(default=frozenset())

    @property
    def summary(self) -> str:
        return self.text.partition("\n\n")[0].replace("\n", " ")

    def entries(self, *titles: str) -> list[tuple[str, str]]:
        """The (names, text) of the entries of the sections of these titles."""
        found: list[tuple[str, str]] = []
        title = ""
        for line in self.text.splitlines():
            if SECTION.match(line):
                title = line.rstrip(":")
            elif line and not line.startswith(" "):
                title = ""
            elif title in titles and (match := ENTRY.match(line)):
                found += [(match[1], match[2] or "")]
            elif title in titles and found and line.strip():
                names, text = found[-1]
                found[-1] = (names, f"{text} {line.strip()}".strip())
        return found


def names_of(node: Function, *, bound: bool) -> tuple[str, ...]:
    """The arguments of a function, without the first one of a method that is bound."""
    a = node.args
    found = [*a.posonlyargs, *a.args][bound:] + a.kwonlyargs
    found += [each for each in (a.vararg, a.kwarg) if each]
    return tuple(x.arg for x in found if not x.arg.startswith("_"))


def decorators(node: Function | ast.ClassDef) -> str:
    return " ".join(ast.unparse(each) for each in node.decorator_list)


def fields_of(node: ast.ClassDef) -> tuple[str, ...]:
    """The fields of a dataclass or of a NamedTuple, which its constructor takes."""
    return tuple(
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and not each.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(each.annotation)
        and "init=False" not in ast.unparse(each)
    )


def errors_of(node: Function) -> Iterator[str]:
    """The names of the public errors that the body itself raises, nested functions apart."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        x = waiting.pop()
        if isinstance(x, Function | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(x, ast.Raise) and isinstance(x.exc, ast.Call):
            yield ast.unparse(x.exc.func).rpartition(".")[2]
        if isinstance(x, ast.Call) and ast.unparse(x.func).rpartition(".")[2] == "require":
            yield from (ast.unparse(each).rpartition(".")[2] for each in x.args[1:2])
        waiting += ast.iter_child_nodes(x)


@cache
def public_errors() -> frozenset[str]:
    tree = ast.parse((SOURCE / "errors.py").read_text(encoding="utf-8"))
    return frozenset(x.name for x in tree.body if isinstance(x, ast.ClassDef))


def constructor(node: ast.ClassDef) -> tuple[tuple[str, ...] | None, frozenset[str]]:
    """The arguments that building a class takes, if the class says so itself, and its errors."""
    own = {x.name: x for x in node.body if isinstance(x, Function)}
    raised: set[str] = set()
    for name in ("__init__", "__post_init__"):
        if name in own:
            raised |= public_errors() & set(errors_of(own[name]))
    if "__init__" in own:
        return names_of(own["__init__"], bound=True), frozenset(raised)
    bases = {ast.unparse(base) for base in node.bases}
    if "dataclass" in decorators(node) or "NamedTuple" in bases:
        return fields_of(node), frozenset(raised)
    return None, frozenset(raised)


def is_command(node: Function) -> bool:
    """True where all arguments are options of the command line, with their own help."""
    annotations = [x.annotation for x in [*node.args.args, *node.args.kwonlyargs]]
    shared = {"Overrides", "Images", "Force", "Range", "Geometry", "Device", "Verbose"}
    return bool(annotations) and all(
        x is not None and (ast.unparse(x) in shared or "typer." in ast.unparse(x))
        for x in annotations
    )


def helps() -> Iterator[tuple[str, str]]:
    """The help of every option and argument of the command line, by its place."""
    for path in sorted((SOURCE / "cli").glob("*.py")):
        for x in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(x, ast.Call) and ast.unparse(x.func) in {
                "typer.Option",
                "typer.Argument",
            }:
                found = [each.value for each in x.keywords if each.arg == "help"]
                text = ast.literal_eval(found[0]) if found else ""
                yield f"{path.name}:{x.lineno}", text


def members(node: ast.Module | ast.ClassDef, where: str) -> Iterator[Docstring]:
    for x in node.body:
        if not isinstance(x, Function | ast.ClassDef) or x.name.startswith("_"):
            continue
        here = f"{where}.{x.name}" if "::" in where else f"{where}::{x.name}"
        text = ast.get_docstring(x)
        if isinstance(x, ast.ClassDef):
            if text:
                arguments, raised = constructor(x)
                yield Docstring(here, "class", text, arguments, raised)
            yield from members(x, here)
        elif text and "overload" not in decorators(x):
            raised = public_errors() & set(errors_of(x))
            if "triton.jit" in decorators(x) or is_command(x):
                yield Docstring(here, "function", text)  # launchers and --help tell the arguments
                continue
            kind = "method" if isinstance(node, ast.ClassDef) else "function"
            bound = kind == "method" and "staticmethod" not in decorators(x)
            yield Docstring(here, kind, text, names_of(x, bound=bound), raised)


@cache
def docstrings() -> tuple[Docstring, ...]:
    """All public docstrings of the package."""
    found: list[Docstring] = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = str(path.relative_to(SOURCE))
        if text := ast.get_docstring(tree):
            found.append(Docstring(where, "module", text))
        found += members(tree, where)
    return tuple(found)


def first_line(each: Docstring) -> Iterator[str]:
    line = each.text.splitlines()[0]
    if not line.endswith("."):
        yield f"the first line does not end in a full stop: {line}"
    if QUESTION.match(line) or "?" in line:
        yield f"the first line is a question: {line}"


def described(each: Docstring) -> Iterator[str]:
    """Every argument of a function or constructor is described, and nothing else is."""
    entries = each.entries("Args", "Attributes")
    named = {x.lstrip("*") for names, _ in entries for x in names.split(", ")}
    if each.arguments is None:
        return
    if each.kind != "method" and (missing := [x for x in each.arguments if x not in named]):
        yield f"not described: {', '.join(missing)}"
    given = {x.lstrip("*") for names, _ in each.entries("Args") for x in names.split(", ")}
    if unknown := sorted(given - set(each.arguments)):
        yield f"described, but not an argument: {', '.join(unknown)}"


def noun_phrases(each: Docstring) -> Iterator[str]:
    for names, text in each.entries("Args", "Attributes"):
        if FRAGMENT.match(text) or LOWER_CASE.match(text):
            yield f"{names} goes on with a sentence that its name began: {text}"
        if not text.endswith((".", ":")):
            yield f"{names} does not end in a full stop: {text}"


def errors(each: Docstring) -> Iterator[str]:
    entries = each.entries("Raises")
    named = {x for names, _ in entries for x in names.split(", ")}
    if missing := sorted(each.raised - named):
        yield f"raised, but not described: {', '.join(missing)}"
    for names, text in entries:
        if LOWER_CASE.match(text):
            yield f"{names} is not a sentence: {text}"


def words(each: Docstring) -> Iterator[str]:
    plain = " ".join(each.text.split()).lower()
    yield from (f"a riddle: {phrase}" for phrase in RIDDLES if phrase in plain)


CHECKS = (first_line, described, noun_phrases, errors, words)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_docstrings(check: Callable[[Docstring], Iterator[str]]) -> None:
    faults = [f"{each.where}: {fault}" for each in docstrings() for fault in check(each)]
    assert not faults, "\n" + "\n".join(faults)


def test_the_help_of_the_command_line() -> None:
    faults = [
        f"{where}: {text!r}"
        for where, text in helps()
        if not text.endswith(".") or FRAGMENT.match(text) or not text[:1].isupper()
    ]
    assert len(list(helps())) > 30
    assert not faults, "\n" + "\n".join(faults)


def test_a_fault_of_every_kind_is_found() -> None:
    found = Docstring(
        "here",
        "function",
        "What is it\n\nLeave away.\n\nArgs:\n    a: of the residual\n    c: Other.\n",
        ("a", "b"),
        frozenset({"DataError"}),
    )
    faults = [fault for check in CHECKS for fault in check(found)]
    assert len(faults) == 8, faults
