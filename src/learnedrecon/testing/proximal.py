"""Checks of proximal maps: minimisation, firm non-expansiveness, Moreau's identity."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError
from learnedrecon.testing.numbers import distance, norm_of, seeded, total_inner

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.functionals.base import Fidelity, Regulariser
    from learnedrecon.testing.report import Checklist

_STEPS = (0.1, 1.0, 10.0)
_SIZES = [10.0 ** (-k / 2) for k in range(13)]
_DIRECTIONS = 12
_AWAY = 3.0
_INTO_DOMAIN = 1e-9


def check_prox(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    arguments: tuple[Tensor, ...],
    seed: int,
    within: float,
) -> None:
    """The properties of the proximal map, skipped where the functional has none.

    Args:
        checks: List of the findings.
        functional: Data term D or regulariser R.
        arguments: Point in the domain, (batch, ...), and the data of a data term.
        seed: Seed of the points of the test.
        within: Accuracy of the map, relative to its argument.
    """
    name = "the proximal map minimises"
    at, *others = arguments
    try:
        _prox(functional)(at.clone(), *others, 1.0)
    except ConfigError:
        checks.skip(name, "it says that it has none")
        return
    _check_form(checks, functional, arguments)
    _check_steps(checks, functional, arguments, within)
    wide = copy.deepcopy(functional).double()
    u, *y = (x.to(torch.promote_types(x.dtype, torch.float64)) for x in arguments)
    generator = seeded(seed)
    x = u + _AWAY * (norm_of(u) / math.sqrt(u.numel()) or 1.0) * _random(u, generator)
    for step in _STEPS:
        checks.require(
            f"{name}, t = {step:g}",
            _excess(wide, (x[:1], *(z[:1] for z in y)), step, generator),
            "derive it again: no other point may have a smaller t·F(w) + ½‖w - x‖²",
            within,
        )
    _check_pairs(checks, wide, (x, *y), generator, within)


def _check_form(
    checks: Checklist, functional: Fidelity | Regulariser, arguments: tuple[Tensor, ...]
) -> None:
    at, *others = arguments
    before = [tensor.clone() for tensor in arguments]
    value = _prox(functional)(at, *others, 0.5)
    checks.require_true(
        "the proximal map keeps shape and type",
        value.shape == at.shape and value.dtype == at.dtype,
        "return what the value is minimised at",
    )
    unchanged = all(map(torch.equal, before, arguments))
    checks.require_true(
        "the proximal map leaves its arguments alone", unchanged, "do not write into an argument"
    )


def _check_steps(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    arguments: tuple[Tensor, ...],
    within: float,
) -> None:
    batch = [torch.cat([x, 0.5 * x, x]) for x in arguments]
    steps = torch.linspace(0.1, 2.0, len(batch[0]), device=batch[0].device)
    together = _prox(functional)(*batch, steps)
    parts = zip(*(x.split(1) for x in batch), steps.tolist(), strict=True)
    singles = torch.cat([_prox(functional)(*part) for part in parts])
    checks.require(
        "the proximal map takes one step per sample, and each alone",
        distance(together, singles),
        "treat every sample alone, with functionals.base.spread for the steps",
        max(within, checks.tolerance),
    )


def _excess(
    functional: Fidelity | Regulariser,
    arguments: tuple[Tensor, ...],
    step: float,
    generator: torch.Generator,
) -> float:
    """The distance of p from the minimiser by comparisons of values, relative to x.

    M(w) = t·F(w) + ½‖w - x‖² is strongly convex, so M(w) ≥ M(p) + ½‖w - p‖² for all w. The w are
    around p at many distances: along random directions, single entries and x - p. They are moved
    into the domain of F by its own proximal map with a tiny step.
    """
    x, *y = arguments
    prox = _prox(functional)
    p = prox(x, *y, step)
    around = p + _directions(x, p, generator)
    others = [z.expand(len(around), *z.shape[1:]) for z in y]
    w = prox(around, *others, _INTO_DOMAIN * step)

    def objective(w: Tensor, data: list[Tensor]) -> Tensor:
        return step * functional(w, *data) + 0.5 * (w - x).abs().square().flatten(1).sum(1)

    least = objective(p, y)
    if not bool(least.isfinite().all()):
        return math.inf
    bound = least + 0.5 * (w - p).abs().square().flatten(1).sum(1)
    excess = float((bound - objective(w, others)).max())
    return math.sqrt(2 * max(excess, 0.0)) / (norm_of(x) or 1.0)


def _directions(x: Tensor, p: Tensor, generator: torch.Generator) -> Tensor:
    """(number, ...): directions times sizes, relative to x, with both signs."""
    scale = norm_of(x) / math.sqrt(x.numel()) or 1.0
    full = torch.stack([_random(x[0], generator) for _ in range(_DIRECTIONS)])
    chosen = torch.randperm(x[0].numel(), generator=generator)[:_DIRECTIONS].to(x.device)
    single = torch.zeros(len(chosen), x[0].numel(), dtype=x.dtype, device=x.device)
    single[range(len(chosen)), chosen] = _random(chosen.to(x.dtype), generator)
    away = (x - p) / (norm_of(x - p) or 1.0) * math.sqrt(x.numel())
    lines = torch.cat([full, single.reshape(-1, *x.shape[1:]), away])
    sizes = scale * torch.tensor([s * size for size in _SIZES for s in (1, -1)], dtype=x.dtype)
    grown = sizes.to(x.device).reshape(-1, *[1] * x.ndim) * lines
    return grown.flatten(0, 1)


def _check_pairs(
    checks: Checklist,
    functional: Fidelity | Regulariser,
    arguments: tuple[Tensor, ...],
    generator: torch.Generator,
    within: float,
) -> None:
    x, *y = arguments
    prox, conjugate = _prox(functional), _conjugate(functional)
    size = norm_of(x) / math.sqrt(x.numel()) or 1.0
    worst = identity = 0.0
    for step in _STEPS:
        p = prox(x, *y, step)
        for apart in (1e-2, 1.0, 10.0):
            other = x + apart * size * _random(x, generator)
            q = prox(other, *y, step)
            gap = total_inner(p - q, p - q) - total_inner(p - q, x - other)
            worst = max(worst, gap / total_inner(other - x, other - x))
        dual = conjugate(x / step, *y, 1 / step)
        identity = max(identity, distance(p + step * dual, x))
    checks.require(
        "the proximal map is firmly non-expansive", worst, "derive it again", max(within, 1e-10)
    )
    checks.require(
        "Moreau's identity, prox of F + t prox of F*/t = identity",
        identity,
        "derive prox_conjugate again, or leave it to the interface",
        max(10 * within, 1e-10),
    )


def _random(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _prox(functional: Fidelity | Regulariser) -> Callable[..., Tensor]:
    """Its proximal map, with or without data."""
    return functional.prox


def _conjugate(functional: Fidelity | Regulariser) -> Callable[..., Tensor]:
    return functional.prox_conjugate
