"""What an iterative solver returns: the answer, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SolverResult:
    """The result of an iterative solver; each says what its residual is.

    A *system* is what is solved on its own, one for every entry of the leading axes ``lead``.

    Attributes:
        solution: (*lead, *space), in the dtype of the data.
        residuals: after every iteration, (iterations + 1, *lead), float64, the start first; a
            system that has ended keeps its last. No rows for a closed form.
        iterations: that each system took, (*lead), int64.
        converged: whether the residual fell to the tolerance asked for, (*lead), bool.
        status: how it ended, in one sentence.
    """

    solution: Tensor
    residuals: Tensor
    iterations: Tensor
    converged: Tensor
    status: str


@dataclass(frozen=True, eq=False)
class PDHGResult(SolverResult):
    """The result of :func:`learnedrecon.solvers.pdhg.pdhg`.

    Attributes:
        dual: p_k of every term, (*lead, *codomain of K_k).
    """

    dual: tuple[Tensor, ...]


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


def describe_end(
    converged: Tensor,
    reached: Tensor,
    iterations: Tensor,
    target: float,
    measure: str = "relative gap",
) -> str:
    """How a batch ended, in one sentence.

    Args:
        converged: per sample, bool.
        reached: what was to fall to ``target``, per sample.
        iterations: per sample.
        target: what was asked for.
        measure: the name of what was to fall.
    """
    total, failed = converged.numel(), int((~converged).sum())
    if total == 0:
        return "Nothing to do: the batch is empty."
    worst = f"{measure} {float(reached.max()):.1e} (asked for {target:.1e})"
    if failed == 0:
        return f"Converged in at most {int(iterations.max())} iterations to a {worst}."
    return (
        f"Not converged: {failed} of {total} samples stopped after {int(iterations.max())} "
        f"iterations, with a {worst}. Allow more iterations, or a larger {measure}."
    )
