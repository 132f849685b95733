"""The table of all operators and their properties, which docs/operators.md shows.

    python -m tests.operators.table                # about a quarter of a minute
    python -m tests.operators.table --output runs  # leaves the recorded table alone

Runs ``check_operator`` on the cases of tests/operators/cases in both precisions, writes the largest
number of every group of properties to studies/results/operator-table.json and the page. A
property that does not hold raises, and nothing is written.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import torch
import typer

from benchmarks.harness.machine import record
from benchmarks.harness.tables import Cell, table
from learnedrecon.files import write_text
from learnedrecon.operators.base import Operator
from learnedrecon.testing import Finding, Report, check_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Case: TypeAlias = "Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]"

ROOT = Path(__file__).parents[2]
FILES = sorted((Path(__file__).parent / "cases").glob("*.py"))
PRECISIONS = {"double": torch.float64, "single": torch.float32}
# The first group one of whose texts a property's name contains is its own.
GROUPS: dict[str, tuple[str, ...]] = {
    "linear": ("is linear over the reals", "maps 0 to 0", "linearise gives T"),
    "scales": ("scales with its argument",),
    "adjoint": ("* is adjoint", ".H "),
    "entries": ("entry by entry",),
    "derivative": ("central differences",),
    "twice": ("backwards twice", "as autograd says"),
    "vjp": ("autograd backwards", "func.grad"),
    "jvp": ("autograd forwards",),
    "batch": ("stack of singles", "do not mix", "vmap", "that of every sample"),
    "precision": ("to(float64)", "double precision", "autocast", "and type", "domain's type"),
    "device": ("device", "every tensor is a buffer"),
    "tensors": ("with_tensors", "tensor_names", "argument alone"),
    "norm": ("norm()", "norm_bound()", "so is its norm"),
    "rows": ("subset", "a pointwise T"),
}
# The order of convergence is not a deviation, and is held but not shown.
HIDDEN = ("order of the central differences",)


def main(
    *, output: Annotated[Path, typer.Option(help="Folder instead of the repository.")] = ROOT
) -> None:
    """Checks, and writes table and page."""
    content: dict[str, Any] = record("tests.operators.table")
    begun = time.perf_counter()
    rows = [
        measured(path.stem, name, case) for path in FILES for name, case in cases_of(path).items()
    ]
    content["seconds_in_all"] = time.perf_counter() - begun
    content["size"] = size_of(rows)
    content["rows"] = [{k: v for k, v in row.items() if k != "skipped"} for row in rows]
    content["skipped"] = skipped_in(rows)
    target = output / "studies" / "results" / "operator-table.json"
    write_text(target, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_text(output / "docs" / "operators.md", page(content))
    sys.stdout.write(sentence(content["size"]) + "\n")


def cases_of(path: Path) -> dict[str, Case]:
    """The ``CASES`` of a file."""
    spec = importlib.util.spec_from_file_location(f"operator_cases_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Case] = module.CASES
    return found


def built(case: Case, dtype: torch.dtype) -> tuple[Operator, Tensor | None]:
    """The operator of a case, and where its tensors of samples are checked."""
    made = case(dtype)
    return (made, None) if isinstance(made, Operator) else made


def measured(family: str, name: str, case: Case) -> dict[str, Any]:
    """One row: the largest number of every group, in both precisions."""
    row: dict[str, Any] = {"family": family, "case": name, "checked": 0, "skipped": []}
    for precision, dtype in PRECISIONS.items():
        operator, at = built(case, dtype)
        report = check_operator(operator, at=at)
        row |= {"operator": report.subject, "spaces": spaces(operator)}
        row[precision] = worst(report)
        row["checked"] += sum(finding.measured is not None for finding in report.findings)
        row["skipped"] += [[finding.name, finding.note] for finding in report.skipped]
    return row


def spaces(operator: Operator) -> str:
    """Such as ``ℂ→ℝ``."""
    kinds = ("ℂ" if space.is_complex else "ℝ" for space in (operator.domain, operator.codomain))
    return "→".join(kinds)


def worst(report: Report) -> dict[str, float | bool | None]:
    """The largest number of every group; True where all hold without one, None where none ran."""
    found: dict[str, float | bool | None] = dict.fromkeys(GROUPS)
    for finding in report.findings:
        group = group_of(finding)
        if finding.measured is None or finding.name.startswith(HIDDEN):
            continue
        before = found[group]
        if finding.tolerance == 0.0:
            found[group] = True if before is None else before
        else:
            least = before if isinstance(before, float) else 0.0
            found[group] = max(float(f"{finding.measured:.2e}"), least)
    return found


def group_of(finding: Finding) -> str:
    """The column of a property.

    Raises:
        KeyError: a property that no column has.
    """
    for group, texts in GROUPS.items():
        if any(text in finding.name for text in texts):
            return group
    raise KeyError(finding.name)


def size_of(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How much was checked."""
    return {
        "rows": len(rows),
        "classes": len({row["operator"] for row in rows}),
        "checked": sum(row["checked"] for row in rows),
        "skipped": sum(len(row["skipped"]) for row in rows),
    }


def skipped_in(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every property that was not checked and why, with the rows where it was not."""
    table: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, note in row["skipped"]:
            general = name.split(", at ")[0]
            where = table.setdefault((general, note), [])
            if row["case"] not in where:
                where.append(row["case"])
    return [{"property": n, "reason": r, "rows": where} for (n, r), where in table.items()]


def page(content: dict[str, Any]) -> str:
    """The page of the recorded table."""
    text = INTRODUCTION.format(sentence=sentence(content["size"]), command=content["command"])
    families = dict.fromkeys(row["family"] for row in content["rows"])
    columns: dict[str, Cell] = {
        "case": "case",
        "operator": lambda row: f"{row['operator']}, {row['spaces']}",
        **{group: in_both(group) for group in GROUPS},
    }
    for family in families:
        rows = [row for row in content["rows"] if row["family"] == family]
        text += f"\n\n## {family.replace('_', ' ').capitalize()}\n\n"
        text += table(rows, columns).markdown().rstrip("\n")
    lines = [f"{text}\n\n## What was not checked, and why\n"]
    total = len(content["rows"])
    for gap in content["skipped"]:
        where = gap["rows"]
        names = "all" if len(where) == total else f"{len(where)} of {total}"
        if len(where) <= 6:
            names = ", ".join(where)
        lines.append(f"- {gap['property']}: {gap['reason']} ({names}).")
    return "\n".join(lines) + "\n"


def in_both(group: str) -> Cell:
    """The numbers of a group in double and in single precision; one where they agree."""
    return lambda row: "<br>".join(
        dict.fromkeys(deviation(row[precision][group]) for precision in PRECISIONS)
    )


def deviation(number: float | bool | None) -> str:
    """A number with one digit, a tick, or a dash."""
    if number is None:
        return "–"
    if number is True:
        return "✓"
    return f"{number:.0e}" if number else "0"


def sentence(size: dict[str, int]) -> str:
    """The size of the table in words."""
    return (
        f"{size['rows']} operators of {size['classes']} classes in two precisions: "
        f"{size['checked']} properties checked,\nall of them hold; {size['skipped']} do not apply."
    )


INTRODUCTION = """\
# Operators, property by property

{sentence}

Written by `{command}`, which runs
`learnedrecon.testing.check_operator` on every case of `tests/operators/cases`; so does
`tests/operators/test_table.py` in every test run. A new operator is one line in such a file.

Each cell has the largest deviation of its group, in double precision above and in single below; one
number stands for both where they agree, ✓ for properties that hold without a number, and – for what
was not checked. Deviations are relative and may be at most 1e-10 in double and 1e-5 in single
precision, 1e-7 for central differences (which are taken in double) and 1e-4 for the norm.

| column | what is measured |
|---|---|
| linear | T and T*, or T'(u) and T'(u)*, are linear over the reals; `linearise` gives T(u) |
| scales | T(s·u) = s·T(u) for s = 0.1, 1, 10, and T*; for a nonlinear T of T'(s·u) |
| adjoint | Re⟨Tu, v⟩ = Re⟨u, T*v⟩ for random pairs, v = Tu, single pixels and data; `.H` |
| entries | the matrix of T* is the transposed matrix of T, entry by entry |
| derivative | T'(s·u) against central differences of falling step size, s = 0.1, 1, 10 |
| twice | autograd backwards twice, and the derivative of T'(u)*v in u |
| vjp | autograd backwards is T'(u)*; `torch.func.grad` |
| jvp | autograd forwards is T'(u) |
| batch | a batch is a stack of singles, of T, T* and T'(u); samples do not mix; `torch.vmap` |
| precision | `.to(float64)` computes in double, complex stays complex, autocast changes nothing |
| device | another device gives the same; every tensor is a buffer |
| tensors | `with_tensors` takes `tensor_names` and refuses others; arguments are left alone |
| norm | `norm()` against the singular values of the dense matrix; `norm_bound()` is not below |
| rows | `subset`s reassemble the whole of T and T*, in the order asked for; `at_rows` |"""


if __name__ == "__main__":
    typer.run(main)
