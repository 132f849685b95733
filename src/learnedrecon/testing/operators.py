"""Checks of operators: adjoint, linearity, derivatives, norm, subsets."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import GeometryError
from learnedrecon.operators.base import Operator
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
from learnedrecon.testing.rows import check_subsets
from learnedrecon.testing.transforms import check_transforms

if TYPE_CHECKING:
    from torch import Tensor

_SCALES = (0.1, 1.0, 10.0)


def check_operator(
    operator: Operator,
    *,
    at: Tensor | None = None,
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Check of all properties that the interface of an operator requires.

    Every operator: independence of samples and channels, also where samples have tensors of their
    own; precision; devices; unchanged arguments; unknown tensors; subsets of rows; ``vmap`` and
    ``func.grad``. A linear one: the adjoint identity Re⟨Tu, v⟩ = Re⟨u, T*v⟩ relative to ‖Tu‖‖v‖ for
    random pairs, for v = Tu and for single pixels against single data, at scales 0.1, 1 and 10;
    entry by entry against the transposed matrix where it is small; ``.H``; linearity over the
    reals; the norm against singular values, for each sample where these have tensors of their own;
    autograd backwards, twice and forwards. A nonlinear one: the same for its derivative at 0.1, 1
    and 10 times the image, with comparisons of the derivative, central differences and autograd.

    Args:
        operator: T.
        at: Image at which a nonlinear T is linearised, (..., *domain.shape); its leading axes are
            those of an operator with per-sample tensors. A random one unless given.
        seed: Seed of all random numbers.
        tolerance: Relative tolerance; 1e-10 in float64 and 1e-5 in float32 unless given.

    Returns:
        Report with one number per property.

    Raises:
        PropertyError: A property does not hold; the message has its number and its tolerance.
    """
    checks = Checklist(
        type(operator).__name__, tolerance_of(operator.domain.dtype, given=tolerance)
    )
    device = device_of(operator) if at is None else at.device
    leading = () if at is None else tuple(at.shape[: at.ndim - operator.domain.ndim])
    draw = Draw(operator, leading, device, seed)
    image = draw.image() if at is None else at.detach().to(operator.domain.dtype)
    _check_values(checks, operator, draw)
    _check_samples(checks, operator, image)
    _check_tensors(checks, operator, image)
    _check_precision(checks, operator, image)
    _check_devices(checks, operator, image)
    if isinstance(operator, LinearOperator):
        check_linear(checks, operator, draw)
    else:
        _check_nonlinear(checks, operator, image, draw)
    _check_channels(checks, operator, draw)
    _check_singles(checks, operator, image, draw)
    check_subsets(checks, operator, image, draw)
    check_transforms(checks, operator, image, draw)
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


def _check_channels(checks: Checklist, operator: Operator, draw: Draw) -> None:
    """Tensors are (batch, channel, ...): with both axes in front, every entry is for itself."""
    lead = (2, 3) if not draw.leading else (2,)
    images, data = draw.image(*lead), draw.data(*lead)
    many = [torch.zeros_like(value) for value in (operator(images), images)]
    value, derivative = operator.linearise(images)
    back = derivative.adjoint(data)
    for index in itertools.product(*map(range, lead)):
        one, slope = operator.linearise(images[index])
        many[0][index], many[1][index] = one, slope.adjoint(data[index])
    fix = "let no leading axis see another: batch and channel are both in front of the domain's"
    checks.require("samples and channels do not mix in T", distance(value, many[0]), fix)
    star = "T*" if isinstance(operator, LinearOperator) else "T'(u)*"
    checks.require(f"samples and channels do not mix in {star}", distance(back, many[1]), fix)


def _check_singles(checks: Checklist, operator: Operator, image: Tensor, draw: Draw) -> None:
    """Check that ``of_sample`` is the operator of one sample with tensors of its own."""
    names = ("a batch with tensors of samples is a stack of singles", "so is its norm")
    own = operator.tensors().items()
    number = draw.leading[0] if draw.leading else 1
    if number < 2 or not any(t.ndim > operator.own_axes(n) + 1 and len(t) > 1 for n, t in own):
        for name in names:
            checks.skip(name, "no leading axes" if number < 2 else "no tensors of samples")
        return
    value, derivative = operator.linearise(image)
    data = draw.data()
    back = derivative.adjoint(data)
    singles = [operator.of_sample(k) for k in range(number)]
    pairs = [single.linearise(image[k : k + 1]) for k, single in enumerate(singles)]
    ends = torch.cat([one for one, _ in pairs])
    starts = torch.cat([slope.adjoint(data[k : k + 1]) for k, (_, slope) in enumerate(pairs)])
    fix = "let tensors() and own_axes() say which tensors samples have for themselves"
    gap = max(distance(value, ends), distance(back, starts))
    checks.require(names[0], gap, fix)
    if not isinstance(operator, LinearOperator):
        checks.skip(names[1], "not linear")
        return
    whole = torch.as_tensor(operator.norm(), dtype=torch.float64).expand(draw.leading)
    each = [
        torch.as_tensor(single.norm(), dtype=torch.float64).expand(1, *draw.leading[1:])
        for single in singles
        if isinstance(single, LinearOperator)
    ]
    fix = "compute_norm gives one number for each sample, which does not depend on the others"
    checks.require(names[1], distance(whole, torch.cat(each)), fix, within=1e-9)


def _check_samples(checks: Checklist, operator: Operator, image: Tensor) -> None:
    """Check that a change of the last sample's tensors does not change the others."""
    name = "samples with their own tensors do not mix"
    if image.ndim == operator.domain.ndim or image.shape[0] < 2:
        checks.skip(name, "no leading axes" if image.ndim == operator.domain.ndim else "one sample")
        return
    other = torch.cat([image[:-1], 2 * image[-1:]])
    checks.require(name, distance(operator(other)[:-1], operator(image)[:-1]), "check the axes")


def _check_tensors(checks: Checklist, operator: Operator, image: Tensor) -> None:
    """The properties that :meth:`Operator.with_tensors` has for every operator."""
    fix = "raise GeometryError, as Operator does, and set tensor_names"
    unknown = {"no operator has this": torch.ones(1)}
    try:
        operator.with_tensors(unknown)
    except GeometryError:
        refused = True
    else:
        refused = False
    checks.require_true("with_tensors refuses names that T has not", refused, fix)
    takes_some = type(operator).with_tensors is not Operator.with_tensors
    alone = not any(isinstance(child, Operator) for child in operator.children())
    declared = operator.tensor_names is not Operator.tensor_names
    checks.require_true(
        "tensor_names says what with_tensors takes",
        declared or not (takes_some and alone),
        "set tensor_names, so that compositions know whose a tensor is",
    )
    same = operator.with_tensors({})
    gap = distance(same(image), operator(image))
    checks.require("with_tensors without tensors changes nothing", gap, "return an equal operator")
    loose = [
        name
        for module in operator.modules()
        for name, value in vars(module).items()
        if isinstance(value, torch.Tensor)
    ]
    fix = f"register_buffer({', '.join(map(repr, loose))}), so that .to() moves it"
    checks.require_true("every tensor is a buffer", not loose, fix)


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
    _check_derivatives_of_a_batch(checks, operator, draw)
    for scale in _SCALES:
        at = scale * image
        _, derivative = operator.linearise(at)
        check_derivative_operator(checks, derivative, draw, f"T'({scale:g}·u)")
    for scale in _SCALES:
        where = "u" if scale == 1.0 else f"{scale:g}·u"
        _check_differences(checks, operator, scale * image, draw, where)
        _check_autograd(checks, operator, scale * image, draw, where)


def _check_derivatives_of_a_batch(checks: Checklist, operator: Operator, draw: Draw) -> None:
    images, directions, data = draw.image(3), draw.image(3), draw.data(3)
    _, derivative = operator.linearise(images)
    singles = [operator.linearise(u)[1] for u in images]
    pairs = {
        "T'(u)": (derivative(directions), [T(h) for T, h in zip(singles, directions, strict=True)]),
        "T'(u)*": (
            derivative.adjoint(data),
            [T.adjoint(v) for T, v in zip(singles, data, strict=True)],
        ),
    }
    for name, (batch, each) in pairs.items():
        checks.require(
            f"{name} of a batch of u is a stack of singles",
            distance(batch, torch.stack(each)),
            "linearise every sample alone",
        )


def _check_differences(
    checks: Checklist, operator: Operator, image: Tensor, draw: Draw, where: str
) -> None:
    title = f"T'({where}) against central differences"
    wide = _copy_in_double(checks, operator, title)
    if wide is None:
        return
    at = image.to(wide.domain.dtype)
    direction = draw.image().to(at.dtype)
    direction = direction * ((norm_of(at) or 1.0) / norm_of(direction))
    expected = wide.linearise(at)[1](direction)
    error, order = central_differences(wide, at, direction, expected)
    fix = "differentiate T by hand again"
    checks.require(title, error, fix, within=1e-7)
    name = "order of the central differences, below 2 by"
    name = name if where == "u" else f"{name}, at {where}"
    if order is None:
        checks.skip(name, "the differences are exact to rounding")
    else:
        checks.require(name, max(0.0, 2 - order), fix, within=0.2)


def _check_autograd(
    checks: Checklist, operator: Operator, image: Tensor, draw: Draw, where: str
) -> None:
    u = image.clone().requires_grad_()
    v = draw.data().requires_grad_()
    w = draw.image()
    derivative = operator.linearise(image)[1]
    name = f"T'({where})"
    pulled = pull_back(operator(u), u, v, create_graph=True)
    checks.require(
        f"autograd backwards is {name}*", distance(pulled, derivative.adjoint(v)), "check backward"
    )
    twice, along_u = (pull_back(pulled, leaf, w) for leaf in (v, u))
    checks.require(
        f"autograd backwards twice is {name}",
        distance(twice, derivative(w)),
        "make backward differentiable",
    )
    by_hand = operator.linearise(u)[1].adjoint(v)
    second = pull_back(by_hand, u, w)
    checks.require(
        f"{name}*v depends on u as autograd says",
        distance(second, along_u),
        "do not detach T(u) in linearise",
    )
    pushed = push_forward(operator, image, w)
    checks.require(f"autograd forwards is {name}", distance(pushed, derivative(w)), "check jvp")
