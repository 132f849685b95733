"""Sums of Gaussians against the plain sum: time of a forward and backward pass, and its memory.

    python -m benchmarks.radial_basis

The activations of a variational network, on one thread. The plain sum makes an array of filters,
nodes and pixels. Writes benchmarks/results/radial_basis.json.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import typer
from torch import Tensor

from benchmarks.harness import memory
from benchmarks.harness.child import alone
from benchmarks.harness.row import Row, table_of_rows, timed
from benchmarks.harness.run import Benchmark
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.networks.radial_basis import radial_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness.run import Settings

FILTERS, NODES, SIZE = 24, 31, 128
WORK = f"{FILTERS} filters, {NODES} nodes, {SIZE}² pixels, float32, 1 thread"
PEER = "one array of filters, nodes and pixels"


def plain_sum(x: Tensor, weights: Tensor) -> Tensor:
    """The sum by one array of filters, nodes and pixels."""
    nodes = torch.arange(weights.shape[1]) - (weights.shape[1] - 1) / 2
    bank = torch.exp(-0.5 * (x.unsqueeze(-1) - nodes).square()) / math.sqrt(2 * math.pi)
    return (bank * weights[:, None, None]).sum(-1)


SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ours": radial_sum, "plain": plain_sum}


def training_pass(name: str) -> Callable[[], None]:
    """A forward and a backward pass in arguments and weights.

    Args:
        name: "ours" or "plain".
    """
    generator = torch.Generator().manual_seed(0)
    x = (4 * torch.randn(1, FILTERS, SIZE, SIZE, generator=generator)).requires_grad_()
    weights = torch.randn(FILTERS, NODES, generator=generator).requires_grad_()

    def run() -> None:
        torch.autograd.grad(SUMS[name](x, weights).square().sum(), (x, weights))

    return run


def peak_of(name: str) -> dict[str, Any]:
    """The memory that a pass takes beyond what was there before it, in MiB."""
    torch.set_num_threads(1)
    run = training_pass(name)
    memory.tidy()
    memory.forget_peak()
    before = memory.resident()
    run()
    return {"mib": (memory.peak() - before) / 2**20}


def rows_of(settings: Settings) -> Iterator[Row]:
    """Time and memory of a pass."""
    contestants = [Contestant(name, training_pass(name), running(1)) for name in SUMS]
    times = interleaved(contestants, settings.budget)
    both = times["ours"], times["plain"]
    yield timed("radial", WORK, "forward and backward", times=both, peer=PEER, target=None)
    ours, theirs = (alone("benchmarks.radial_basis:peak_of", {"name": n})["mib"] for n in SUMS)
    yield Row(
        "radial", WORK, "memory of a pass", ours, theirs, "MiB", PEER, theirs / ours, target=None
    )


BENCHMARK = Benchmark(
    "radial_basis",
    {"radial": rows_of},
    lambda content: [table_of_rows(content["rows"])],
    peers=(),
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
