"""Sums of Gaussians against the plain sum: time of a forward and backward pass, and its memory.

python -m benchmarks.radial_basis          # in the repository, one thread, half a minute
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmarks.harness import memory
from benchmarks.harness.child import alone
from benchmarks.harness.machine import cpu_model
from benchmarks.harness.timing import Budget, Contestant, interleaved, running
from learnedrecon.networks.radial_basis import radial_sum

if TYPE_CHECKING:
    from collections.abc import Callable

FILTERS, NODES, SIZE = 24, 31, 128
BUDGET = Budget(rounds=3, turn=0.1, seconds=20.0)


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


def main() -> None:
    """Prints the table."""
    contestants = [Contestant(name, training_pass(name), running(1)) for name in SUMS]
    times = interleaved(contestants, BUDGET)
    lines = [f"{FILTERS} filters, {NODES} nodes, {SIZE}² pixels, float32, 1 thread: {cpu_model()}"]
    for name in SUMS:
        peak = alone("benchmarks.radial_basis:peak_of", {"name": name})["mib"]
        lines.append(f"{name:6} {1e3 * times[name].median:8.1f} ms {peak:8.1f} MiB")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
