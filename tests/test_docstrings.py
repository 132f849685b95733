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
# A question, or a pronoun for what only the code tells.
QUESTION = re.compile(
    r"(What|How|Whether|Why|When|Where|Which|Who|Does|Do|Is|Are|Can|Should|May|"
    r"Everything|Anything|Something|Nothing else|Any|That|This|These|It|They|Whatever|Likewise|"
    r"The (only|one|way)|As (before|above|for))\b(?!-)"
)
# An argument is a noun phrase: it does not go on with a sentence that its name began.
FRAGMENT = re.compile(
    r"(?i)(of|how|what|whether|if|when|where|which|as|from|to|by|so|with|is|are)\b"
)
# A word of two letters or more in lower case; symbols such as y, λ and ‖T‖ stand as they are.
LOWER_CASE = re.compile(r"[a-z][a-z']+\b")
# What a search does not find and a reader of another first language stumbles over.
RIDDLES = re.compile(
    r"\b(leaves? \S+ away|left away|leaves? away|and four would|anew|alike|whoever|nobody|somebody|"
    r"stands? still|goes on with|begins? anew|of yours|knows? nothing|no more than|"
    r"likewise;|sooner or later|as good as missing)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Docstring:
    """One public docstring, the names of the arguments it owes, and the errors it owes."""

    where: str
    kind: str
    text: str
    arguments: tuple[str, ...] | None = None
    raised: frozenset[str] = field(default=frozenset())
    attributes: frozenset[str] | None = None

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
    shared |= {"Flats", "Darks", "Counts", "Transmission", "Row", "Rows", "Angles", "Degrees"}
    shared |= {"BadPixels", "Rings"}
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


def attributes_of(node: ast.ClassDef) -> frozenset[str] | None:
    """The names that a class without bases of ours has; None where a base may have more."""
    if {ast.unparse(base).partition("[")[0] for base in node.bases} - {"NamedTuple", "Generic"}:
        return None
    found = {x.name for x in node.body if isinstance(x, Function)}
    for x in ast.walk(node):
        if isinstance(x, ast.AnnAssign | ast.Assign):
            targets = [x.target] if isinstance(x, ast.AnnAssign) else x.targets
            found |= {ast.unparse(each).removeprefix("self.") for each in targets}
    return frozenset(found)


def members(node: ast.Module | ast.ClassDef, where: str) -> Iterator[Docstring]:
    for x in node.body:
        if not isinstance(x, Function | ast.ClassDef) or x.name.startswith("_"):
            continue
        here = f"{where}.{x.name}" if "::" in where else f"{where}::{x.name}"
        text = ast.get_docstring(x)
        if isinstance(x, ast.ClassDef):
            if text:
                arguments, raised = constructor(x)
                yield Docstring(here, "class", text, arguments, raised, attributes_of(x))
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
    if each.attributes is not None:
        listed = {x for names, _ in each.entries("Attributes") for x in names.split(", ")}
        if unknown := sorted(listed - each.attributes):
            yield f"described, but not an attribute: {', '.join(unknown)}"
    if each.arguments is None:
        return
    if each.kind != "method" and (missing := [x for x in each.arguments if x not in named]):
        yield f"not described: {', '.join(missing)}"
    given = {x.lstrip("*") for names, _ in each.entries("Args") for x in names.split(", ")}
    if unknown := sorted(given - set(each.arguments)):
        yield f"described, but not an argument: {', '.join(unknown)}"


def noun_phrases(each: Docstring) -> Iterator[str]:
    for names, text in each.entries("Args", "Attributes"):
        if FRAGMENT.match(text) or LOWER_CASE.match(text) or text.startswith("("):
            yield f"{names} is no noun phrase: {text}"
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


def pages() -> Iterator[str]:
    for path in [
        SOURCE.parents[1] / "README.md",
        *sorted((SOURCE.parents[1] / "docs").glob("*.md")),
    ]:
        text = " ".join(path.read_text(encoding="utf-8").split())
        yield from (f"{path.name}: a riddle: {found[0]}" for found in RIDDLES.finditer(text))


def words(each: Docstring) -> Iterator[str]:
    yield from (f"a riddle: {found[0]}" for found in RIDDLES.finditer(" ".join(each.text.split())))


CHECKS = (first_line, described, noun_phrases, errors, words)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_docstrings(check: Callable[[Docstring], Iterator[str]]) -> None:
    faults = [f"{each.where}: {fault}" for each in docstrings() for fault in check(each)]
    assert not faults, "\n" + "\n".join(faults)


def test_no_docstring_begins_as_a_question() -> None:
    """Also those of private functions and classes."""
    faults = []
    for path in sorted(SOURCE.rglob("*.py")):
        for x in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(x) if isinstance(x, Function | ast.ClassDef) else None
            if text and QUESTION.match(text):
                faults.append(f"{path.name}: {text.splitlines()[0]}")
    assert not faults, "\n" + "\n".join(faults)


def test_the_help_of_the_command_line() -> None:
    faults = [
        f"{where}: {text!r}"
        for where, text in helps()
        if not text.endswith(".") or FRAGMENT.match(text) or not text[:1].isupper()
    ]
    assert len(list(helps())) > 30
    assert not faults, "\n" + "\n".join(faults)


def test_the_pages() -> None:
    assert not list(pages())


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (first_line, "Two words without a stop"),
        (first_line, "Is the operator its adjoint."),
        (first_line, "How a scheme is differentiated."),
        (described, "Norm of an operator.\n\nArgs:\n    a: Operator."),
        (described, "Norm of an operator.\n\nArgs:\n    a, b: Operators.\n    c: Other."),
        (noun_phrases, "Norm.\n\nArgs:\n    a: of the residual.\n    b: Seed."),
        (noun_phrases, "Norm.\n\nArgs:\n    a: Seed.\n    b: Whether\n        it is so."),
        (noun_phrases, "Norm.\n\nArgs:\n    a: Seed of two\n        lines\n    b: Seed."),
        (noun_phrases, "Norm.\n\nArgs:\n    a: (batch, ...).\n    b: Seed."),
        (errors, "Norm."),
        (errors, "Norm.\n\nRaises:\n    DataError: with both shapes."),
        (words, "Norm, or leave\nit away."),
    ],
)
def test_a_fault_is_found(check: Callable[[Docstring], Iterator[str]], text: str) -> None:
    found = Docstring("here", "function", text, ("a", "b"), frozenset({"DataError"}))
    assert len(list(check(found))) == 1


def test_a_sound_one_has_none() -> None:
    text = "Norm of an operator.\n\nArgs:\n    a: Operator.\n    b: Seed.\n\nRaises:\n"
    text += "    DataError, ShapeError: The data are not finite."
    found = Docstring("here", "function", text, ("a", "b"), frozenset({"DataError"}))
    assert not [fault for check in CHECKS for fault in check(found)]


def test_what_a_body_raises() -> None:
    code = """def f(x):
    if x:
        raise errors.DataError("no")
    require(x, ShapeError, expected="", found="", fix="")
    def g():
        raise ConfigError
    return g
"""
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.FunctionDef)
    assert set(errors_of(node)) == {"DataError", "ShapeError"}
