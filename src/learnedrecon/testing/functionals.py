"""Checks of functionals: gradients, proximal maps, independence of samples."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.functionals.base import Fidelity, Regulariser
from learnedrecon.testing.numbers import central_differences, distance, pull_back, seeded
from learnedrecon.testing.proximal import check_prox
from learnedrecon.testing.report import Checklist, Report, tolerance_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def check_functional(
    functional: Fidelity | Regulariser,
    *,
    at: Tensor,
    data: Tensor | None = None,
    seed: int = 0,
    tolerance: float | None = None,
    prox_tolerance: float = 1e-6,
) -> Report:
    """Check that a functional has one value per sample, its gradient, and its proximal map.

    The gradient agrees with autograd and central differences, also in the second derivative. The
    proximal map, where there is one, minimises at the step sizes 0.1, 1 and 10, is firmly
    non-expansive, accepts one step size per sample, and satisfies Moreau's identity with that of
    the conjugate. Indicators of sets have no gradient.

    Args:
        functional: Data term D or regulariser R.
        at: v or u, (batch, channel, ...), a point where the functional is smooth and defined.
        data: Data y, of the shape of ``at``, for a data term.
        seed: Seed of the direction of differentiation.
        tolerance: Relative tolerance; 1e-10 in float64 and 1e-5 in float32 unless given.
        prox_tolerance: Accuracy of the proximal map, relative to its argument; comparing values
            resolves 1e-6.

    Returns:
        Report with one number per property.

    Raises:
        ConfigError: Data are missing, or given to a regulariser.
        PropertyError: A property does not hold; the message has its number and its tolerance.
    """
    at = at.detach()
    checks = Checklist(type(functional).__name__, tolerance_of(at.dtype, given=tolerance))
    arguments = _others(functional, data)
    smooth = _has_gradient(functional, at, arguments)
    _check_shapes(checks, functional, at, arguments, smooth=smooth)
    _check_batch(checks, functional, at, arguments, smooth=smooth)
    if smooth:
        _check_gradient(checks, functional, at, arguments, seed)
    else:
        checks.skip("gradient against autograd", "it says that it has none")
    check_prox(checks, functional, (at, *arguments), seed, prox_tolerance)
    return checks.report()


def _others(functional: Fidelity | Regulariser, data: Tensor | None) -> tuple[Tensor, ...]:
    if isinstance(functional, Fidelity) != (data is not None):
        raise ConfigError(
            describe(
                expected="data for a data term, and none for a regulariser",
                found=f"{type(functional).__name__} with data={type(data).__name__}",
                fix="pass data=y for a Fidelity only",
            )
        )
    return () if data is None else (data.detach(),)


def _has_gradient(
    functional: Fidelity | Regulariser, at: Tensor, others: tuple[Tensor, ...]
) -> bool:
    try:
        functional.gradient(at.clone(), *others)
    except ConfigError:
        return False
    return True


def _check_shapes(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    at: Tensor,
    others: tuple[Tensor, ...],
    *,
    smooth: bool,
) -> None:
    before = [tensor.clone() for tensor in (at, *others)]
    value = functional(at, *others)
    gradient = functional.gradient(at, *others) if smooth else at
    checks.require_true(
        "one real, finite value per sample",
        value.shape == at.shape[:1] and not value.is_complex() and bool(value.isfinite().all()),
        "sum over everything but the batch axis",
    )
    checks.require_true(
        "the gradient has the shape and type of its argument",
        gradient.shape == at.shape and gradient.dtype == at.dtype,
        "return the gradient with respect to the first argument",
    )
    unchanged = all(map(torch.equal, before, (at, *others)))
    checks.require_true("arguments are left alone", unchanged, "do not write into an argument")


def _check_batch(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    at: Tensor,
    others: tuple[Tensor, ...],
    *,
    smooth: bool,
) -> None:
    actions: dict[str, Callable[..., Tensor]] = {"value": functional}
    if smooth:
        actions["gradient"] = functional.gradient
    batch = [torch.cat([x, 0.5 * x, x]) for x in (at, *others)]
    for name, action in actions.items():
        parts = zip(*(x.split(1) for x in batch), strict=True)
        singles = torch.cat([action(*part) for part in parts])
        checks.require(
            f"{name} of a batch is a stack of singles",
            distance(action(*batch), singles),
            "treat every sample alone",
        )


def _check_gradient(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    at: Tensor,
    others: tuple[Tensor, ...],
    seed: int,
) -> None:
    leaf = at.clone().requires_grad_()
    gradient = functional.gradient(at, *others)
    value = functional(leaf, *others)
    automatic = pull_back(value, leaf, torch.ones_like(value))
    fix = "differentiate the value by hand again"
    checks.require("gradient against autograd", distance(gradient, automatic), fix)

    wide = copy.deepcopy(functional).double()
    u, *y = (x.to(torch.promote_types(x.dtype, torch.float64)) for x in (at, *others))
    direction = torch.randn(u.shape, generator=seeded(seed), dtype=u.dtype).to(u.device)
    direction = direction * (0.1 * u.abs().mean() / direction.abs().max())
    slope = (wide.gradient(u, *y).conj() * direction).real.flatten(1).sum(1)
    error, order = central_differences(lambda x: wide(x, *y), u, direction, slope)
    checks.require("gradient against central differences", error, fix, within=1e-7)
    name = "order of the central differences, below 2 by"
    if order is None:
        checks.skip(name, "the differences are exact to rounding")
    else:
        checks.require(name, max(0.0, 2 - order), fix, within=0.2)
    _check_second(checks, wide, (u, *y), direction)


def _check_second(
    checks: Checklist,
    wide: Fidelity | Regulariser,
    arguments: tuple[Tensor, ...],
    direction: Tensor,
) -> None:
    u, *y = arguments
    leaf = u.clone().requires_grad_()
    gradient = wide.gradient(leaf, *y)
    second = pull_back(gradient, leaf, direction)
    error, _ = central_differences(lambda x: wide.gradient(x, *y), u, direction, second)
    checks.require(
        "second derivative against central differences",
        error,
        "do not detach in gradient",
        within=1e-6,
    )
