"""Checks of linear operators and of derivatives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.testing.numbers import (
    Draw,
    dense_matrix,
    distance,
    norm_of,
    pull_back,
    push_forward,
    total_inner,
)

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.leading import Norm
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.testing.report import Checklist

_SCALES = (0.1, 1.0, 10.0)
_PIXELS = 8
_SMALL = 1_000_000
_NORM_TOLERANCE = 1e-4
_ADJOINT = "transpose every weight that T uses, borders and factors included"


def check_linear(checks: Checklist, operator: LinearOperator, draw: Draw) -> None:
    """All properties of a linear T.

    Args:
        checks: List of the findings.
        operator: T.
        draw: Random images and data.
    """
    check_derivative_operator(checks, operator, draw, "T")
    u = draw.image()
    value, derivative = operator.linearise(u)
    checks.require("linearise gives T(u)", distance(value, operator(u)), "return (T(u), T)")
    w = draw.image()
    checks.require("linearise gives T", distance(derivative(w), operator(w)), "return (T(u), T)")
    _check_single_image(checks, operator, draw)
    _check_norm(checks, operator, draw)
    _check_autograd(checks, operator, draw)


def check_derivative_operator(
    checks: Checklist, operator: LinearOperator, draw: Draw, name: str
) -> None:
    """The adjoint identity and linearity over the reals, of T itself or of a derivative.

    Args:
        checks: List of the findings.
        operator: T or its derivative.
        draw: Random images and data.
        name: Name of the operator, for the findings.
    """
    _check_linearity(checks, operator, draw, name)
    _check_homogeneity(checks, operator, draw, name)
    _check_adjoint(checks, operator, draw, name)
    _check_transposed(checks, operator, draw, name)
    _check_entries(checks, operator, draw, name)


def adjoint_defect(operator: LinearOperator, u: Tensor, v: Tensor) -> float:
    """The adjoint defect |Re⟨Tu, v⟩ - Re⟨u, T*v⟩| / (‖Tu‖‖v‖).

    It is relative to ‖u‖‖T*v‖ where Tu = 0.

    Args:
        operator: T.
        u: Image.
        v: Data.
    """
    forward, backward = operator(u), operator.adjoint(v)
    if forward.shape != v.shape or backward.shape != u.shape:
        return math.inf
    scale = norm_of(forward) * norm_of(v) or norm_of(u) * norm_of(backward) or 1.0
    return abs(total_inner(forward, v) - total_inner(u, backward)) / scale


def _check_linearity(checks: Checklist, operator: LinearOperator, draw: Draw, name: str) -> None:
    fix = "drop the constant, or derive from Operator and write linearise"
    for label, action, make in (
        (name, operator, draw.image),
        (f"{name}*", operator.adjoint, draw.data),
    ):
        x, y = make(), make()
        a, b = -1.7, 0.6
        left, right = action(a * x + b * y), a * action(x) + b * action(y)
        scale = norm_of(action(x)) + norm_of(action(y)) or 1.0
        checks.require(f"{label} is linear over the reals", norm_of(left - right) / scale, fix)
        checks.require_true(f"{label} maps 0 to 0", not action(torch.zeros_like(x)).any(), fix)


def _check_homogeneity(checks: Checklist, operator: LinearOperator, draw: Draw, name: str) -> None:
    """T(s·u) = s·T(u): what depends on the size of its argument is not linear."""
    for label, action, make in (
        (name, operator, draw.image),
        (f"{name}*", operator.adjoint, draw.data),
    ):
        x = make()
        value = action(x.clone())
        worst = max(distance(action(s * x), s * value) for s in _SCALES)
        fix = "look for thresholds, clips and additive constants"
        checks.require(f"{label} scales with its argument by 0.1, 1 and 10", worst, fix)


def _check_transposed(checks: Checklist, operator: LinearOperator, draw: Draw, name: str) -> None:
    """``.H`` swaps T and T*, and its own ``.H`` swaps them back."""
    u, v = draw.image(), draw.data()
    turned = operator.H
    fix = "let H give Adjoint(self), or an operator with T and T* swapped"
    swapped = (turned.domain, turned.codomain) == (operator.codomain, operator.domain)
    checks.require_true(f"{name}.H goes from the codomain to the domain", swapped, fix)
    gaps = (
        distance(turned(v), operator.adjoint(v)),
        distance(turned.adjoint(u), operator(u)),
        distance(turned.H(u), operator(u)),
    )
    checks.require(f"{name}.H is {name}*", max(gaps), fix)


def _check_adjoint(checks: Checklist, operator: LinearOperator, draw: Draw, name: str) -> None:
    data = draw.data(2)
    before = data.clone()
    both = operator.adjoint(data)
    checks.require_true(
        f"{name}* leaves its argument alone", torch.equal(data, before), "do not write into v"
    )
    random = max(adjoint_defect(operator, s * draw.image(), draw.data()) for s in _SCALES)
    checks.require(f"{name}* is adjoint: random pairs", random, _ADJOINT)
    images = [s * draw.image() for s in _SCALES]
    aligned = max(adjoint_defect(operator, u, operator(u)) for u in images)
    checks.require(f"{name}* is adjoint: v = {name}u", aligned, _ADJOINT)
    single = max(_single_defect(operator, draw, s) for s in _SCALES for _ in range(_PIXELS))
    checks.require(f"{name}* is adjoint: single pixels and data", single, _ADJOINT)
    singles = torch.stack([operator.adjoint(v) for v in data])
    checks.require(
        f"{name}* of a batch is a stack of singles",
        distance(both, singles),
        "treat every sample alone",
    )
    checks.require_true(
        f"{name}* has the domain's type", both.dtype == operator.domain.dtype, "keep the precision"
    )


def _single_defect(operator: LinearOperator, draw: Draw, scale: float) -> float:
    """One pixel against the datum that it reaches most and against a random one."""
    u = _single(draw.image(), draw, scale)
    response = operator(u).flatten().abs()
    places = (int(response.argmax()), draw.index(response.numel()))
    return max(adjoint_defect(operator, u, _single(draw.data(), draw, scale, p)) for p in places)


def _single(like: Tensor, draw: Draw, scale: float, place: int | None = None) -> Tensor:
    flat = torch.zeros_like(like).flatten()
    place = draw.index(flat.numel()) if place is None else place
    phase = like.flatten()[place]
    flat[place] = scale * phase / phase.abs()
    return flat.reshape(like.shape)


def _is_small(operator: LinearOperator, draw: Draw) -> bool:
    factor = math.prod(draw.leading) ** 2
    return operator.domain.size * operator.codomain.size * factor <= _SMALL


def _check_entries(checks: Checklist, operator: LinearOperator, draw: Draw, name: str) -> None:
    title = f"{name}* is the transposed matrix, entry by entry"
    if not _is_small(operator, draw):
        checks.skip(title, f"more than {_SMALL} entries")
        return
    precision = operator.domain.dtype.to_real()
    forward = dense_matrix(operator, leading=draw.leading, precision=precision)
    backward = dense_matrix(operator.H, leading=draw.leading, precision=precision)
    size = float(forward.abs().max()) or 1.0
    worst = float((forward - backward.T).abs().max())
    checks.require(title, worst / size, _ADJOINT)


def _check_single_image(checks: Checklist, operator: LinearOperator, draw: Draw) -> None:
    """Images without leading axes go through every sample; norms start from such an image."""
    for label, action, space in (
        ("T", operator, operator.domain),
        ("T*", operator.adjoint, operator.codomain),
    ):
        name = f"{label} of one element is that of every sample"
        if not draw.leading:
            checks.skip(name, "no leading axes")
            continue
        one = space.random(draw.generator).to(draw.device)
        every = action(one.expand(*draw.leading, *space.shape).contiguous())
        alone = action(one)
        ends = every.ndim - len(draw.leading)
        fix = "align leading axes before another is put in front of them, as by torch.stack"
        fits = _fits(alone.shape[: alone.ndim - ends], draw)
        gap = distance(alone.expand(every.shape), every) if fits else math.inf
        checks.require(name, gap, fix)


def _check_norm(checks: Checklist, operator: LinearOperator, draw: Draw) -> None:
    name = "norm() is the largest singular value"
    if not _is_small(operator, draw):
        checks.skip(name, f"more than {_SMALL} entries")
    else:
        norm = operator.norm()
        _check_leading(checks, norm, draw, "norm()")
        exact = _norms_of_samples(operator, draw)
        scale = torch.where(exact > 0, exact, 1.0)
        error = (_each(norm, draw) - exact).abs() / scale
        fix = "compare compute_norm with power_iteration, sample by sample"
        checks.require(name, float(error.max()), fix, _NORM_TOLERANCE)
        _check_bound(checks, operator, draw, exact)


def _norms_of_samples(operator: LinearOperator, draw: Draw) -> Tensor:
    """The largest singular value of every sample, from the blocks of the matrix."""
    matrix = dense_matrix(operator, leading=draw.leading)
    number = math.prod(draw.leading)
    sizes = (operator.codomain.size, operator.domain.size)
    parts = [side // (number * size) for side, size in zip(matrix.shape, sizes, strict=True)]
    blocks = matrix.reshape(parts[0], number, sizes[0], parts[1], number, sizes[1])
    each = [blocks[:, k, :, :, k].reshape(parts[0] * sizes[0], -1) for k in range(number)]
    return torch.stack([torch.linalg.matrix_norm(block, 2) for block in each]).cpu()


def _fits(lead: tuple[int, ...], draw: Draw) -> bool:
    """True if these are none, or all of the leading axes, each with its size or 1."""
    if math.prod(lead) == 1 and len(lead) <= len(draw.leading):
        return True
    pairs = zip(lead, draw.leading, strict=False)
    return len(lead) == len(draw.leading) and all(n in {1, size} for n, size in pairs)


def _check_leading(checks: Checklist, norm: Norm, draw: Draw, name: str) -> None:
    shape = tuple(norm.shape) if isinstance(norm, torch.Tensor) else ()
    checks.require_true(
        f"{name} has every leading axis of the samples' tensors, or none",
        _fits(shape, draw),
        f"return a number, or float64 {draw.leading}, with the axes of size 1 kept",
    )


def _each(norm: Norm, draw: Draw) -> Tensor:
    """A norm of every sample, one after the other."""
    return (
        torch.as_tensor(norm, dtype=torch.float64).detach().cpu().expand(draw.leading).reshape(-1)
    )


def _check_bound(checks: Checklist, operator: LinearOperator, draw: Draw, norms: Tensor) -> None:
    """Of those that know a bound; step sizes rely on it."""
    bound = operator.norm_bound()
    if bound is not None:
        _check_leading(checks, bound, draw, "norm_bound()")
        missed = ((norms - _each(bound, draw)) / torch.where(norms > 0, norms, 1.0)).clamp(min=0)
        fix = "prove it, or return None: an estimate from below makes steps too long"
        checks.require(
            "norm_bound() is not below the largest singular value", float(missed.max()), fix, 1e-9
        )


def _check_autograd(checks: Checklist, operator: LinearOperator, draw: Draw) -> None:
    fix = "write T in differentiable operations, or through operators.autograd"
    u, v, w = draw.image().requires_grad_(), draw.data().requires_grad_(), draw.image()
    pulled = pull_back(operator(u), u, v, create_graph=True)
    checks.require("autograd backwards is T*", distance(pulled, operator.adjoint(v)), fix)
    twice = pull_back(pulled, v, w)
    checks.require("autograd backwards twice is T", distance(twice, operator(w)), fix)
    through = pull_back(operator.adjoint(v), v, w)
    checks.require("autograd backwards through T* is T", distance(through, operator(w)), fix)
    pushed = push_forward(operator, draw.image(), w)
    checks.require("autograd forwards is T", distance(pushed, operator(w)), fix)
    pushed = push_forward(operator.adjoint, draw.data(), v.detach())
    checks.require("autograd forwards is T*", distance(pushed, operator.adjoint(v)), fix)
