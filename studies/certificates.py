"""Claim: contraction can be certified, at a price in images and in the worth of the bound.

    python -m studies.certificates --only equilibrium-0.9
    python -m studies.certificates --draw                  # prints what is recorded

Every part trains one method; studies/results/NAME.json keeps what is proved of it and what an
attack finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from benchmarks.harness.tables import Cell, Table, table
from studies.common.scans import SPARSE
from studies.common.scores import classical_rows, there
from studies.common.study import Study
from studies.common.trained import parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studies.common.study import Found

OWN = ("equilibrium-0.99", "equilibrium-0.9")
METHODS = ("equilibrium", *OWN, "equilibrium-free", "unrolled")


def page(results: Path) -> list[Table | str]:
    """What is proved, what an attack finds, and how good it is; of the first seed."""
    rows = [
        {**found, **found.get("certificates", [{}])[0], "psnr": found["psnr"]}
        for _, found in there(results, METHODS)
    ]

    def of(key: str, write: Callable[[Found], str], otherwise: str = "") -> Cell:
        def cell(row: Found) -> str:
            if key not in row:
                return ""
            return otherwise if row[key] is None else write(row)

        return cell

    columns: dict[str, Cell] = {
        "method": "title",
        "ε": of("epsilon", lambda r: f"{r['epsilon']:.{4 if r['holds'] else 3}g}"),
        "λ": of("weight", lambda r: f"{r['weight']:.3g}"),
        "1 - γ": of("factor", lambda r: f"{1 - r['factor']:.3g}", "no certificate"),
        "1 - worst found": of(
            "measured_contraction", lambda r: f"{1 - r['measured_contraction']:.3g}"
        ),
        "worst found / γ": of("measured_over_proved", lambda r: f"{r['measured_over_proved']:.6f}"),
        "stability: proved, found": of(
            "measured_stability",
            lambda r: f"{_or_none(r['stability'], '.3g')}, {r['measured_stability']:.3g}",
        ),
        "evaluations: proved, needed": of(
            "solver_iterations_mean",
            lambda r: f"{_or_none(r['iterations'], 'd')}, {r['solver_iterations_mean']:.0f}",
        ),
        "PSNR (dB)": lambda row: f"{row['psnr']:.2f}",
    }
    return [table([*rows, *classical_rows(results, SPARSE)], columns)]


def _or_none(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


STUDY = Study(
    "certificates",
    "A trained equilibrium can carry a proof that its iteration contracts.",
    "The proof holds against every attack, and what it promises is far weaker than what is found: "
    "tens of thousands of evaluations where a hundred are needed. A stronger promise costs images: "
    "the certified equilibrium ties with tuned total variation at ε = 0.999 and loses at 0.9.",
    parts(OWN),
    page,
)

if __name__ == "__main__":
    typer.run(STUDY.main)
