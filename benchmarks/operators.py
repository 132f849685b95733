"""Operators beyond tomography against their peers, all in one run.

    make peers
    .venv-peers/bin/python -m benchmarks.operators            # a minute or two
    .venv-peers/bin/python -m benchmarks.operators --only mri --quick

Prints a table of medians and ratios and writes benchmarks/results/operators.json. Where a row has a
limit ('≤'), what is reached is ours over theirs. A peer that is not installed is named as missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from benchmarks.blur_and_wavelet import imaging_rows
from benchmarks.harness import memory
from benchmarks.harness.row import table_of_rows
from benchmarks.harness.run import Benchmark
from benchmarks.nufft import non_cartesian_rows
from benchmarks.sense import mri_rows

if TYPE_CHECKING:
    from benchmarks.harness.tables import Table

PARTS = {"mri": mri_rows, "imaging": imaging_rows, "non_cartesian": non_cartesian_rows}


def tables(content: dict[str, Any]) -> list[Table]:
    """All rows."""
    return [table_of_rows(content["rows"])]


BENCHMARK = Benchmark("operators", PARTS, tables, peers=("deepinv", "sigpy"))

if __name__ == "__main__":
    memory.keep_freed()
    typer.run(BENCHMARK.main)
