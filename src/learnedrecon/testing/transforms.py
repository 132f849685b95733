"""Checks of torch's function transforms on operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.testing.numbers import distance

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.testing.numbers import Draw
    from learnedrecon.testing.report import Checklist


def check_transforms(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    """Checks that ``vmap`` is a batch, and that ``func.grad`` of ½‖T(u)‖² is [∂T(u)]* T(u).

    Operations that torch cannot transform, such as calls of another library, are recorded and are
    not an error.

    Args:
        checks: List of the findings.
        operator: T.
        image: Image, (..., *domain.shape).
        draw: Random images and data.
    """
    batch = torch.stack([image, draw.image()])
    fix = "treat every sample alone, also under vmap"
    _compare(checks, "vmap is a batch", lambda: torch.vmap(operator)(batch), operator(batch), fix)
    value, derivative = operator.linearise(image)
    _compare(
        checks,
        "func.grad of ½‖T(u)‖² is T'(u)*T(u)",
        lambda: torch.func.grad(lambda u: _half_square(operator(u)))(image),
        derivative.adjoint(value),
        "write T in differentiable operations, or through operators.autograd",
    )


def _half_square(value: Tensor) -> Tensor:
    parts = torch.view_as_real(value) if value.is_complex() else value
    return 0.5 * parts.square().sum()


def _compare(
    checks: Checklist, name: str, transformed: Callable[[], Tensor], expected: Tensor, fix: str
) -> None:
    try:
        found = transformed()
    except (RuntimeError, NotImplementedError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        checks.skip(name, f"torch refuses: {lines[0][:100]}")
        return
    checks.require(name, distance(found.detach(), expected.detach()), fix)
