"""Consistency of operator and data: T(truth) against measurements.

Errors such as a scan in the opposite direction, an image stored upside down, counts in place of
line integrals, or centimetres in place of millimetres lead to trainings that run to the end and
learn nothing. A single true image with its measurement reveals them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from learnedrecon.errors import DataError, describe
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.ray.transform2d import RayTransform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from learnedrecon.operators.base import Operator

Variant: TypeAlias = tuple[str, Callable[[Tensor], Tensor]]
"""What may have been done to the data, in words, and what undoes it."""

FITS: Final = 0.3
"""Largest relative error of data that are taken to be T(truth) and noise."""

_CLEARLY: Final = 0.5
"""A variant explains the data where its error is at most this part of that of the data as is."""

_UNITS: Final = {
    10.0: "images in 1/cm where 1/mm are meant, or lengths in mm where cm are",
    0.1: "images in 1/mm where 1/cm are meant, or lengths in cm where mm are",
    1000.0: "images in 1/m where 1/mm are meant, or lengths in mm where m are",
    0.001: "images in 1/mm where 1/m are meant, or lengths in m where mm are",
}


class Fit(NamedTuple):
    """The misfit between T(truth) and the data after one change.

    Attributes:
        name: Description of the change; "as they are" for none.
        error: Relative misfit ‖T(u) - y‖/‖y‖ with the changed data y.
    """

    name: str
    error: float


class Consistency(NamedTuple):
    """The misfits between T(truth) and the data, unchanged and changed.

    Attributes:
        error: Relative misfit ‖T(u) - y‖/‖y‖ of the unchanged data.
        scale: Factor c for which c·T(u) is nearest to y.
        scaled_error: Relative misfit ‖c·T(u) - y‖/‖y‖.
        best: Change with the smallest misfit, possibly none.
    """

    error: float
    scale: float
    scaled_error: float
    best: Fit

    @property
    def explained(self) -> str | None:
        """The change that explains the data, in words; None where no change is clearly better."""
        if self.error <= FITS:
            return None
        if self.best.error <= _CLEARLY * self.error and self.best.error <= 1.5 * FITS:
            return f"{self.best.name} they fit, with a relative error of {self.best.error:.2g}"
        if self.scaled_error <= _CLEARLY * self.error and self.scaled_error <= FITS:
            return (
                f"{_unit(self.scale)}: {self.scale:.4g} times T(truth) fits, with a relative error "
                f"of {self.scaled_error:.2g}"
            )
        return None

    def __str__(self) -> str:
        text = f"|T(truth) - y|/|y| = {self.error:.2g}"
        if self.explained is not None:
            return f"{text}; {self.explained}"
        return text if self.error <= FITS else f"{text}: the data are not T(truth) and noise"


@torch.no_grad()
def consistency(operator: Operator, truth: Tensor, data: Tensor) -> Consistency:
    """Comparison of T(truth) with the data, unchanged and after common changes.

    Args:
        operator: T.
        truth: True images u, (..., *domain.shape).
        data: Data y, (..., *codomain.shape).
    """
    predicted = operator(truth)
    size = float(torch.linalg.vector_norm(predicted)) ** 2
    product = float((predicted.conj() * data).real.sum())
    scale = product / size if size > 0 else 1.0
    as_is = Fit("as they are", _relative(predicted, data))
    fits = [as_is]
    for name, change in variants(operator):
        changed = change(data)
        if changed.shape == data.shape and bool(changed.isfinite().all()):
            fits.append(Fit(name, _relative(predicted, changed)))
    best = min(fits, key=lambda fit: fit.error)
    return Consistency(as_is.error, scale, _relative(scale * predicted, data), best)


@singledispatch
def variants(operator: Operator) -> Iterator[Variant]:
    """Common changes of the data of an operator; ``@variants.register`` adds others.

    Args:
        operator: T.
    """
    for axis in range(1, min(operator.codomain.ndim, 3) + 1):
        yield f"reversed along axis -{axis}", _flip(-axis)
    if operator.codomain.is_complex:
        yield "complex conjugated", torch.conj


@variants.register(RayTransform)
def _(operator: RayTransform) -> Iterator[Variant]:
    half = operator.codomain.shape[-2] // 2
    yield "with the angles in reverse order", _flip(-2)
    yield "with the detector reversed", _flip(-1)
    yield "as of a scan that turns the other way, angles and detector reversed,", _flip(-2, -1)
    yield "begun half a scan later", lambda y: y.roll(half, -2)
    yield "shifted by half a step of the angles", _between
    yield "as the logarithm of transmissions, -ln(y)", lambda y: -y.clamp(min=1e-6).log()
    yield (
        "as the logarithm of counts, -ln(y/max y)",
        lambda y: -(y / y.amax().clamp(min=1e-30)).clamp(min=1e-6).log(),
    )


@variants.register(CartesianMRI)
def _(operator: CartesianMRI) -> Iterator[Variant]:
    axes = tuple(range(-operator.domain.ndim, 0))
    yield "complex conjugated", torch.conj
    yield "with the zero frequency in the corner", lambda y: torch.fft.fftshift(y, axes)
    for axis in axes:
        yield f"reversed along axis {axis}", _flip(axis)


def require_consistent(operator: Operator, pairs: Sequence[tuple[str, Tensor, Tensor]]) -> str:
    """Check that no change of the data explains them much better than the data themselves.

    Args:
        operator: T.
        pairs: Names, truths and data of a few samples, (..., *space) each.

    Returns:
        Result in one line.

    Raises:
        DataError: The data of a sample are T(truth) only after a change; the message names it.
    """
    worst: tuple[str, Consistency] | None = None
    for name, truth, data in pairs:
        found = consistency(operator, truth, data)
        if found.explained is not None:
            raise DataError(
                describe(
                    expected=f"data of '{name}' that are T(truth) and noise",
                    found=str(found),
                    fix="correct the geometry, the unit or the files; 'learnedrecon check data' "
                    "shows all that was tried",
                )
            )
        if worst is None or found.error > worst[1].error:
            worst = (name, found)
    return "no pairs" if worst is None else f"{worst[1]}, the largest of {len(pairs)}"


def _relative(predicted: Tensor, data: Tensor) -> float:
    size = float(torch.linalg.vector_norm(data))
    gap = float(torch.linalg.vector_norm(predicted - data))
    return gap / size if size > 0 else float(gap > 0)


def _flip(*axes: int) -> Callable[[Tensor], Tensor]:
    return lambda y: y.flip(axes)


def _between(y: Tensor) -> Tensor:
    """The views halfway between neighbours, the last one as it is."""
    return torch.cat([(y[..., :-1, :] + y[..., 1:, :]) / 2, y[..., -1:, :]], dim=-2)


def _unit(scale: float) -> str:
    near = [text for factor, text in _UNITS.items() if abs(scale / factor - 1) < 0.1]
    return near[0] if near else "another unit"
