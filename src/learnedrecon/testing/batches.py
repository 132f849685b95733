"""Problems of single samples from the problem of a batch."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem


def can_take_data(problem: Problem) -> bool:
    """True if the problem is a dataclass with a field ``data``, such as ``InverseProblem``.

    Args:
        problem: Problem to test.
    """
    return is_dataclass(problem) and any(field.name == "data" for field in fields(problem))


def with_data(problem: Problem, data: Tensor) -> Problem:
    """The same problem with other data.

    Args:
        problem: Problem with a field ``data``.
        data: New data, (batch, channel, *codomain.shape).
    """
    assert is_dataclass(problem)
    return replace(problem, data=data)


def why_not_split(problem: Problem) -> str:
    """The reason why a batch cannot be split into its samples; empty if it can.

    An operator is split by its ``of_sample``. A tensor counts as one per sample if it has as many
    axes as the data and as many entries as the batch.

    Args:
        problem: Problem of a batch.
    """
    if not can_take_data(problem):
        return f"{type(problem).__name__} cannot be given other data"
    number = problem.data.shape[0]
    if number == 1:
        return "a batch of one"
    rank = problem.operator.codomain.ndim + 2
    fidelity = getattr(problem, "fidelity", None)
    alone = problem.operator.of_sample(0)
    parts = {"operator": alone, "regulariser": problem.regulariser, "fidelity": fidelity}
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            continue
        tensors = (*part.buffers(), *part.parameters())
        if any(t.ndim >= rank and t.shape[0] == number for t in tensors):
            return f"the {name} has tensors for each sample"
    return ""


def singles(problem: Problem) -> list[Problem]:
    """One problem per sample, of a problem that can be split.

    Args:
        problem: Problem of a batch.
    """
    assert is_dataclass(problem)
    data = problem.data.split(1)
    return [
        replace(problem, operator=problem.operator.of_sample(k), data=y) for k, y in enumerate(data)
    ]
