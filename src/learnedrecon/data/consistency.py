"""Whether measurements are what they are declared to be: T(truth) against the data.

A scan that turns the other way, an image that is stored upside down, counts where line integrals
are meant, or centimetres for millimetres make a training that runs to its end and learns nothing.
All of them are seen on one true image with its measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from learnedrecon.errors import DataError, describe
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.ray.arranged import ArrangedTransform
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
    """How well T(truth) explains the data after one change.

    Attributes:
        name: The change in words; "as they are" for none.
        error: ‖T(u) - y‖/‖y‖, y the changed data.
    """

    name: str
    error: float


class Consistency(NamedTuple):
    """How well T(truth) explains data, as they are and changed.

    Attributes:
        error: ‖T(u) - y‖/‖y‖ of the data as they are.
        scale: The factor c for which c·T(u) is nearest to y.
        scaled_error: ‖c·T(u) - y‖/‖y‖.
        best: The change with the smallest error, which may be none.
    """

    error: float
    scale: float
    scaled_error: float
    best: Fit

    @property
    def explained(self) -> str | None:
        """What the data are instead of T(truth), in words; None where nothing else is clear."""
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
    """Compares T(truth) with data as they are and after what is often done to data.

    Args:
        operator: T.
        truth: u, (..., *domain.shape).
        data: y, (..., *codomain.shape).
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
    """What is often done to the data of an operator; add yours with ``@variants.register``.

    Args:
        operator: T.
    """
    yield from _flips(operator)
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


@variants.register(ArrangedTransform)
def _(operator: ArrangedTransform) -> Iterator[Variant]:
    for name, change in variants(operator.ray):
        yield name, _rearranged(operator, change)
    yield from _flips(operator)


@variants.register(CartesianMRI)
def _(operator: CartesianMRI) -> Iterator[Variant]:
    axes = tuple(range(-operator.domain.ndim, 0))
    yield "complex conjugated", torch.conj
    yield "with the zero frequency in the corner", lambda y: torch.fft.fftshift(y, axes)
    for axis in axes:
        yield f"reversed along axis {axis}", _flip(axis)


def require_consistent(operator: Operator, pairs: Sequence[tuple[str, Tensor, Tensor]]) -> str:
    """Refuses pairs whose data another reading of them explains far better.

    Args:
        operator: T.
        pairs: Name, truth and data of a few samples, (..., *space) each.

    Returns:
        What was found, one line.

    Raises:
        DataError: The data of a sample are T(truth) only after a change, which is named.
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


def _flips(operator: Operator) -> Iterator[Variant]:
    for axis in range(1, min(operator.codomain.ndim, 3) + 1):
        yield f"reversed along axis -{axis}", _flip(-axis)


def _rearranged(
    operator: ArrangedTransform, change: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """A change of data of the ray transform, on data with other axes."""
    return lambda y: operator.data_as_given(change(operator.data_as_ours(y)))


def _flip(*axes: int) -> Callable[[Tensor], Tensor]:
    return lambda y: y.flip(axes)


def _between(y: Tensor) -> Tensor:
    """The views halfway between neighbours, the last one as it is."""
    return torch.cat([(y[..., :-1, :] + y[..., 1:, :]) / 2, y[..., -1:, :]], dim=-2)


def _unit(scale: float) -> str:
    near = [text for factor, text in _UNITS.items() if abs(scale / factor - 1) < 0.1]
    return near[0] if near else "another unit"
