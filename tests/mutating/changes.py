"""The changes: swapped operations, comparisons and extremes, other constants, dropped factors.

Left as they are: annotations, decorators, the texts of errors and of the log, default values of
arguments and of fields (choices, not mathematics), and what is imported for types alone.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_BINARY: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_CALLS = {
    "max": "min",
    "min": "max",
    "amax": "amin",
    "amin": "amax",
    "maximum": "minimum",
    "minimum": "maximum",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "mean": "sum",
    "sum": "mean",
    "argmax": "argmin",
    "argmin": "argmax",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
}
_DROPPED = ("sqrt", "square", "abs", "conj", "exp", "log", "rsqrt", "reciprocal", "flip", "clamp")
_SILENT = ("describe", "getLogger", "warning", "info", "debug", "warn")
_FACTORS = (ast.Mult, ast.Div, ast.Add, ast.Sub)


@dataclass(frozen=True)
class Mutation:
    """One change to one file.

    Attributes:
        file: of the source, relative to the repository.
        line: in the file as it is.
        text: of that line.
        change: what was done, such as 'a - b for a + b'.
        source: the whole file after it.
    """

    file: str
    line: int
    text: str
    change: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it when lines above it have moved."""
        return self.file, self.text, self.change


def count(source: str) -> int:
    """How many changes there are to a source."""
    return sum(1 for node in _visited(ast.parse(source)) for _ in _changes(node))


def mutations(file: str, source: str, chosen: Collection[int]) -> list[Mutation]:
    """The changes to the source of ``file`` with the given numbers, in the order of the lines."""
    tree = ast.parse(source)
    lines = source.splitlines()
    found, number = [], -1
    for node in list(_visited(tree)):
        for change, apply in list(_changes(node)):
            number += 1
            if number not in chosen:
                continue
            kind, before = type(node), copy.copy(node.__dict__)
            apply()
            text = ast.unparse(tree) + "\n"
            node.__class__ = kind
            node.__dict__.clear()
            node.__dict__.update(before)
            line = node.lineno if isinstance(node, ast.expr | ast.stmt) else 1
            found.append(Mutation(file, line, lines[line - 1].strip(), change, text))
    return sorted(found, key=lambda one: (one.line, one.change))


def _visited(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that may be changed."""
    for child in _children(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _visited(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.FunctionDef():
            yield from node.body
        case ast.ClassDef():
            fields = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
            bases = " ".join(ast.unparse(base) for base in node.bases)
            fields = fields or "NamedTuple" in bases
            yield from (one for one in node.body if not (fields and isinstance(one, ast.AnnAssign)))
        case ast.AnnAssign():
            yield from () if node.value is None else (node.value,)
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            yield from ()
        case ast.Expr() if isinstance(node.value, ast.Constant):
            yield from ()
        case ast.Call() if _name(node.func) in _SILENT:
            yield from ()
        case _:
            yield from ast.iter_child_nodes(node)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    match node:
        case ast.BinOp():
            yield from _of_binary(node)
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.Constant():
            yield from _of_constant(node)
        case ast.Call():
            yield from _of_call(node)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield (
                f"{ast.unparse(node.operand)} for {ast.unparse(node)}",
                _becomes(node, node.operand),
            )
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"'{_word(other)}' for '{_word(node.op)}'", _set(node, "op", other)
        case ast.If() | ast.IfExp() | ast.While() if not isinstance(
            node.test, ast.Compare | ast.UnaryOp | ast.BoolOp
        ):
            yield (
                f"not ({ast.unparse(node.test)})",
                _set(node, "test", ast.UnaryOp(ast.Not(), node.test)),
            )
        case ast.AugAssign() if type(node.op) in _BINARY:
            for kind in _BINARY[type(node.op)]:
                yield f"{_sign(kind())}= for {_sign(node.op)}=", _set(node, "op", kind())


def _of_binary(node: ast.BinOp) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return
    whole = ast.unparse(node)
    for kind in _BINARY.get(type(node.op), ()):
        yield f"{_sign(kind())} for {_sign(node.op)} in {whole}", _set(node, "op", kind())
    if isinstance(node.op, _FACTORS):
        yield f"{ast.unparse(node.left)} for {whole}", _becomes(node, node.left)
        if isinstance(node.op, ast.Mult | ast.Add):
            yield f"{ast.unparse(node.right)} for {whole}", _becomes(node, node.right)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, Callable[[], None]]]:
    whole = ast.unparse(node)
    sides = [node.left, *node.comparators]
    for place, op in enumerate(node.ops):
        kinds = [_NEGATED[type(op)]]
        counted = any(_is_count(side) for side in sides[place : place + 2])
        if counted and type(op) in _BOUNDARY:
            kinds.append(_BOUNDARY[type(op)])
        for kind in kinds:
            ops = [*node.ops[:place], kind(), *node.ops[place + 1 :]]
            yield f"{_sign(kind())} for {_sign(op)} in {whole}", _set(node, "ops", ops)


def _is_count(side: ast.expr) -> bool:
    if isinstance(side, ast.Constant):
        return type(side.value) is int
    return _name(side) == "ndim" or (isinstance(side, ast.Call) and _name(side.func) == "len")


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, Callable[[], None]]]:
    value = node.value
    if type(value) is int:
        others: tuple[Any, ...] = (value + 1, value - 1)
    elif type(value) is float:
        others = (2 * value, value / 2) if value else (1.0,)
    elif type(value) is bool:
        others = (not value,)
    else:
        return
    for other in others:
        place = f"column {node.col_offset + 1}"
        yield f"{other} for {value}, {place}", _set(node, "value", other)


def _of_call(node: ast.Call) -> Iterator[tuple[str, Callable[[], None]]]:
    name = _name(node.func)
    if name in _CALLS:
        func = copy.copy(node.func)
        setattr(func, "attr" if isinstance(func, ast.Attribute) else "id", _CALLS[name])
        yield f"{_CALLS[name]} for {name}", _set(node, "func", func)
    if name in _DROPPED:
        method = isinstance(node.func, ast.Attribute) and not node.args
        inner = node.func.value if isinstance(node.func, ast.Attribute) and method else None
        if node.args and _name(node.func) in {"sqrt", "exp", "log", "abs"}:
            inner = node.args[0]
        if inner is not None:
            yield f"{ast.unparse(inner)} for {ast.unparse(node)}", _becomes(node, inner)


def _set(node: ast.AST, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, name, value)


def _becomes(node: ast.AST, other: ast.expr) -> Callable[[], None]:
    """Puts another expression in a node's place."""
    twin = copy.deepcopy(other)

    def apply() -> None:
        node.__dict__.clear()
        node.__dict__.update(twin.__dict__)
        node.__class__ = twin.__class__

    return apply


def _sign(op: ast.AST) -> str:
    signs = {
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
        ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.MatMult: "@", ast.Mod: "%",
        ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
        ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    }  # fmt: skip
    return signs[type(op)]


def _word(op: ast.boolop) -> str:
    return "and" if isinstance(op, ast.And) else "or"
