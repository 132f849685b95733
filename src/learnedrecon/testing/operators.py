"""Is it really the adjoint, really linear, really the derivative?"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.linear import LinearOperator
from learnedrecon.testing.linear import check_derivative_operator, check_linear
from learnedrecon.testing.numbers import (
    Draw,
    central_differences,
    device_of,
    distance,
    norm_of,
    pull_back,
    push_forward,
)
from learnedrecon.testing.report import Checklist, Report, tolerance_of

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.base import Operator

_SCALES = (0.1, 1.0, 10.0)


def check_operator(
    operator: Operator,
    *,
    at: Tensor | None = None,
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Checks everything that the interface of an operator promises.

    Every operator: batches, precision, devices, arguments left alone. A linear one: the adjoint
    identity Re⟨Tu, v⟩ = Re⟨u, T*v⟩ relative to ‖Tu‖‖v‖ for random pairs, for v = Tu and for single
    pixels against single data, at scales 0.1, 1 and 10; entry by entry against the transposed
    matrix where it is small; linearity over the reals; the norm against singular values; autograd
    backwards, twice and forwards; subsets of rows. A nonlinear one: the same of its derivative,
    which is compared with central differences, and autograd against both.

    Args:
        operator: T.
        at: the image at which a nonlinear T is linearised, (..., *domain.shape); it also tells the
            leading axes of an operator with per-sample tensors. A random one unless given.
        seed: of every random choice.
        tolerance: relative; 1e-10 in float64 and 1e-5 in float32 unless given.

    Returns:
        What was measured, property by property.

    Raises:
        PropertyError: the first property that does not hold, its number and its tolerance.
    """
    checks = Checklist(
        type(operator).__name__, tolerance_of(operator.domain.dtype, given=tolerance)
    )
    device = device_of(operator) if at is None else at.device
    leading = () if at is None else tuple(at.shape[: at.ndim - operator.domain.ndim])
    draw = Draw(operator, leading, device, seed)
    image = draw.image() if at is None else at.detach().to(operator.domain.dtype)
    _check_values(checks, operator, draw)
    _check_precision(checks, operator, image)
    _check_devices(checks, operator, image)
    if isinstance(operator, LinearOperator):
        check_linear(checks, operator, draw)
    else:
        _check_nonlinear(checks, operator, image, draw)
    return checks.report()


def _check_values(checks: Checklist, operator: Operator, draw: Draw) -> None:
    batch = draw.image(3)
    before = batch.clone()
    values = operator(batch)
    checks.require_true(
        "T leaves its argument alone", torch.equal(batch, before), "do not write into u"
    )
    shape = (3, *draw.leading, *operator.codomain.shape)
    checks.require_true(
        "values have the codomain's shape and type",
        tuple(values.shape) == shape and values.dtype == operator.codomain.dtype,
        f"return a tensor of shape (..., *{operator.codomain.shape}) in the precision of u",
    )
    singles = torch.stack([operator(u) for u in batch])
    checks.require(
        "a batch is a stack of singles", distance(values, singles), "treat every sample alone"
    )


def _check_precision(checks: Checklist, operator: Operator, image: Tensor) -> None:
    name = "double precision agrees with the operator's own"
    wide = _copy_in_double(checks, operator, name)
    if wide is None:
        return
    kinds = [(a.is_complex(), b.is_complex()) for a, b in _tensor_pairs(operator, wide)]
    kept = wide.domain.is_complex == operator.domain.is_complex and all(a == b for a, b in kinds)
    checks.require_true(
        ".to(float64) keeps complex complex", kept, "derive from Operator, whose .to() does"
    )
    value = wide(image.to(wide.domain.dtype))
    checks.require_true(
        ".to(float64) computes in double precision",
        value.dtype == wide.codomain.dtype and value.dtype.to_real() == torch.float64,
        "compute in the precision of u, and register every tensor as a buffer",
    )
    narrow = max(checks.tolerance, tolerance_of(operator.domain.dtype))
    checks.require(name, distance(operator(image), value), "look for a lossy conversion", narrow)
    with torch.autocast(image.device.type, dtype=torch.bfloat16):
        inside = operator(image)
    checks.require(
        "autocast changes nothing", distance(inside, operator(image)), "call T, not T.evaluate"
    )


def _copy_in_double(checks: Checklist, operator: Operator, name: str) -> Operator | None:
    if any(tensor.requires_grad and not tensor.is_leaf for tensor in operator.buffers()):
        checks.skip(name, "a buffer is the result of a computation and cannot be copied")
        return None
    return copy.deepcopy(operator).to(torch.float64)


def _tensor_pairs(a: Operator, b: Operator) -> list[tuple[Tensor, Tensor]]:
    # A tensor that two modules share is moved twice, and counted twice here.
    every = [dict(o.named_buffers(remove_duplicate=False)) for o in (a, b)]
    return [(tensor, every[1][name]) for name, tensor in every[0].items()]


def _check_devices(checks: Checklist, operator: Operator, image: Tensor) -> None:
    name = "another device gives the same"
    other = "cpu" if image.device.type != "cpu" else "cuda"
    if other == "cuda" and not torch.cuda.is_available():
        checks.skip(name, "this machine has no other device")
        return
    moved = copy.deepcopy(operator).to(other)
    value = moved(image.to(other))
    checks.require_true("values stay on the device", value.device.type == other, "use u.device")
    checks.require(
        name, distance(value, operator(image)), "register every tensor as a buffer", within=1e-5
    )


def _check_nonlinear(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    value, _ = operator.linearise(image)
    checks.require("linearise gives T(u)", distance(value, operator(image)), "return (T(u), T'(u))")
    for scale in _SCALES:
        _, derivative = operator.linearise(scale * image)
        check_derivative_operator(checks, derivative, draw, f"T'({scale:g}·u)")
    _check_differences(checks, operator, image, draw)
    _check_autograd(checks, operator, image, draw)


def _check_differences(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    wide = _copy_in_double(checks, operator, "T'(u) against central differences")
    if wide is None:
        return
    at = image.to(wide.domain.dtype)
    direction = draw.image().to(at.dtype)
    direction = direction * ((norm_of(at) or 1.0) / norm_of(direction))
    expected = wide.linearise(at)[1](direction)
    error, order = central_differences(wide, at, direction, expected)
    checks.require(
        "T'(u) against central differences", error, "differentiate T by hand again", within=1e-7
    )
    name = "order of the central differences, below 2 by"
    if order is None:
        checks.skip(name, "the differences are exact to rounding")
    else:
        checks.require(name, max(0.0, 2 - order), "differentiate T by hand again", within=0.2)


def _check_autograd(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    u = image.clone().requires_grad_()
    v = draw.data().requires_grad_()
    w = draw.image()
    derivative = operator.linearise(image)[1]
    pulled = pull_back(operator(u), u, v, create_graph=True)
    checks.require(
        "autograd backwards is T'(u)*", distance(pulled, derivative.adjoint(v)), "check backward"
    )
    twice, along_u = (pull_back(pulled, leaf, w) for leaf in (v, u))
    checks.require(
        "autograd backwards twice is T'(u)",
        distance(twice, derivative(w)),
        "make backward differentiable",
    )
    by_hand = operator.linearise(u)[1].adjoint(v)
    second = pull_back(by_hand, u, w)
    checks.require(
        "T'(u)*v depends on u as autograd says",
        distance(second, along_u),
        "do not detach T(u) in linearise",
    )
    pushed = push_forward(operator, image, w)
    checks.require("autograd forwards is T'(u)", distance(pushed, derivative(w)), "check jvp")
