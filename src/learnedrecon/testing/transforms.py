"""Do torch's function transforms see the same operator?"""

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
    """``vmap`` is a batch, and ``func.grad`` of ½‖T(u)‖² is [∂T(u)]* T(u).

    What torch cannot transform, such as a call of another library, is noted and not an error; what
    it transforms must be right.
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
