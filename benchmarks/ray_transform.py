"""The ray transform against its peers, all in one run.

    make peers
    .venv-peers/bin/python -m benchmarks.ray_transform            # about ten minutes
    .venv-peers/bin/python -m benchmarks.ray_transform --only fan --only sweep
    .venv-peers/bin/python -m benchmarks.ray_transform --quick

Prints a table of medians and writes benchmarks/results/ray_transform.json. A peer that is not
installed is named as missing and leaves its rows without a ratio. An 'update' is one sample of one
ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from benchmarks.harness.row import table_of_rows
from benchmarks.harness.run import Benchmark
from benchmarks.ray.astra import agreement_rows, fan_rows, main_rows, small_rows
from benchmarks.ray.cone import cone_rows
from benchmarks.ray.heavy import deepinv_rows, matrix_rows
from benchmarks.ray.sweep import sweep_rows

if TYPE_CHECKING:
    from benchmarks.harness.tables import Table

PARTS = {
    "parallel": main_rows,
    "small": small_rows,
    "fan": fan_rows,
    "matrix": matrix_rows,
    "deepinv": deepinv_rows,
    "cone": cone_rows,
    "agreement": agreement_rows,
    "sweep": sweep_rows,
}


def tables(content: dict[str, Any]) -> list[Table]:
    """A table for every part."""
    return [part_of(content, name) for name in content["parts"]]


def part_of(content: dict[str, Any], name: str) -> Table:
    """The rows whose part is ``name``, or begins with it and a comma."""
    return table_of_rows(r for r in content["rows"] if r["part"].partition(",")[0] == name)


BENCHMARK = Benchmark("ray_transform", PARTS, tables)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
