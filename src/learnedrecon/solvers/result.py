"""What an iterative solver returns: the answer, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TVResult:
    """The result of :func:`learnedrecon.solvers.tv.tv_reconstruction`.

    Attributes:
        image: u, (batch, ..., *space), in the dtype of the data.
        objective: P(u) of each sample, (batch,), float64.
        gap: certified bound on (P(u) - min P)/P(u) of each sample, (batch,), float64.
        iterations: that each sample took, (batch,), int64.
        converged: whether the gap fell to the one asked for, (batch,), bool.
        status: how it ended, in one sentence.
    """

    image: Tensor
    objective: Tensor
    gap: Tensor
    iterations: Tensor
    converged: Tensor
    status: str


def describe_end(converged: Tensor, gap: Tensor, iterations: Tensor, target: float) -> str:
    """How a batch ended, in one sentence; the arguments are per sample."""
    total, failed = len(converged), int((~converged).sum())
    if total == 0:
        return "Nothing to do: the batch is empty."
    reached = f"relative gap {float(gap.max()):.1e} (asked for {target:.1e})"
    if failed == 0:
        return f"Converged in at most {int(iterations.max())} iterations to a {reached}."
    return (
        f"Not converged: {failed} of {total} samples stopped after {int(iterations.max())} "
        f"iterations, with a {reached}. Allow more iterations, or a larger gap."
    )
