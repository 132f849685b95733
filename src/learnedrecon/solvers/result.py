"""Results of iterative solvers: the solution, with residuals and convergence."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SolverResult:
    """The result of an iterative solver; each solver documents its residual.

    A *system* is one problem that is solved independently, one per entry of the leading axes
    ``lead``.

    Attributes:
        solution: Solutions (*lead, *space), in the dtype of the data.
        residuals: Residual after every iteration, (iterations + 1, *lead), float64, from the start
            on; a system that has ended keeps its last residual. A closed form has no rows.
        iterations: Number of iterations of each system, (*lead), int64.
        converged: True where the residual is within the tolerance, (*lead), bool.
        status: Outcome in one sentence.
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
        dual: Dual variables p_k of every term, (*lead, *codomain of K_k).
        solution: Solutions (*lead, *space), in the dtype of the data.
        residuals: Residual after every iteration, (iterations + 1, *lead), float64.
        iterations: Number of iterations of each system, (*lead), int64.
        converged: True where the residual is within the tolerance, (*lead), bool.
        status: Outcome in one sentence.
    """

    dual: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class TVResult:
    """The result of :func:`learnedrecon.solvers.tv.tv_reconstruction`.

    Attributes:
        image: Images u, (batch, ..., *space), in the dtype of the data.
        objective: Value P(u) of each sample, (batch,), float64.
        gap: Certified bound on (P(u) - min P)/P(u) of each sample, (batch,), float64.
        iterations: Number of iterations of each sample, (batch,), int64.
        converged: True where the gap is within the one asked for, (batch,), bool.
        status: Outcome in one sentence.
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
    """One sentence about the convergence of a batch.

    Args:
        converged: Convergence per sample, bool.
        reached: Value of the measure, per sample.
        iterations: Number of iterations per sample.
        target: Value of the measure at which a sample has converged.
        measure: Name of the measure, such as "residual".
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
