"""Comparison of T(truth) with measured data, unchanged and after common changes.

Errors such as a scan in the opposite direction, an image stored upside down, counts in place of
line integrals, or centimetres in place of millimetres lead to trainings that run to the end and
learn nothing. A single true image with its measurement reveals them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from learnedrecon.data.variants import AS_THEY_ARE, Variant, units, variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from learnedrecon.operators.base import Operator

Mismatch: TypeAlias = Literal["refuse", "warn"]
"""Reaction to data that are clearly something else than T(truth)."""

FITS: Final = 0.3
"""Largest relative error of data that are taken to be T(truth) and noise."""

_CLEARLY: Final = 0.5
_BETTER: Final = 0.7
_NEAR: Final = 0.1
_EXACT: Final = 0.01
_KEPT: Final = 0.5


class Pair(NamedTuple):
    """A true image and its measurement.

    Attributes:
        name: Name of the sample.
        operator: T of the sample.
        truth: u, (..., *domain).
        data: y, (..., *codomain).
    """

    name: str
    operator: Operator
    truth: Tensor
    data: Tensor


class Fit(NamedTuple):
    """The misfit of T(truth) after one change; medians over samples.

    Attributes:
        variant: Change of T, u or y.
        error: Relative misfit ‖T(u) - y‖/‖y‖.
        scale: Real factor c for which c·T(u) is nearest to y.
        scaled_error: Relative misfit ‖c·T(u) - y‖/‖y‖.
    """

    variant: Variant
    error: float
    scale: float
    scaled_error: float


@dataclass(frozen=True)
class Consistency:
    """The misfits between T(truth) and the data, unchanged and changed.

    Attributes:
        fits: Misfits of all variants that apply, that of the data as they are first.
        samples: Names of the samples.
        units: Factors that have a name; see :func:`learnedrecon.data.variants.units`.
    """

    fits: tuple[Fit, ...]
    samples: tuple[str, ...]
    units: dict[float, str]

    @property
    def as_is(self) -> Fit:
        """The misfit of the data as they are."""
        return self.fits[0]

    @property
    def error(self) -> float:
        """‖T(u) - y‖/‖y‖ of the data as they are."""
        return self.as_is.error

    @property
    def best(self) -> Fit:
        """The fit with the smallest error; that with a free factor where no other is better."""
        plain = _preferred(self.fits, lambda fit: fit.error)
        scaled = _preferred(self.fits, lambda fit: fit.scaled_error)
        return scaled if scaled.scaled_error <= _CLEARLY * plain.error else plain

    @property
    def contradicts(self) -> bool:
        """True if another variant of the data is clearly the right one."""
        least = self._least()
        return self.error > FITS and least <= _CLEARLY * self.error and least <= 1.5 * FITS

    @property
    def doubtful(self) -> bool:
        """True if another variant fits better, or nothing fits."""
        better = self.error > _EXACT and self._least() <= _BETTER * self.error
        return self.error > FITS or better

    @property
    def explained(self) -> str | None:
        """The change that explains the data, in words; None where no change is clearly better."""
        return self._better() if self.contradicts else None

    @property
    def fix(self) -> str:
        """An instruction for the user with data of another variant."""
        best = self.best
        if best.variant is not AS_THEY_ARE:
            return best.variant.fix
        return f"divide the data by {best.scale:.4g}, multiply the images, or correct the geometry"

    def __str__(self) -> str:
        text = f"|T(truth) - y|/|y| = {self.error:.2g}"
        if self.contradicts or (self.doubtful and self._least() <= _BETTER * self.error):
            return f"{text}; {self._better()}"
        return f"{text}: the data are not T(truth) and noise" if self.doubtful else text

    def table(self) -> list[tuple[str, str]]:
        """Variants and their errors in words, the best first behind the data as they are."""
        first, *others = self.fits
        ordered = sorted(others, key=lambda fit: min(fit.error, fit.scaled_error))
        return [(fit.variant.name, _numbers(fit)) for fit in (first, *ordered)]

    def _least(self) -> float:
        return min(self.best.error, self.best.scaled_error if self._scaled else self.best.error)

    @property
    def _scaled(self) -> bool:
        best = self.best
        return best.scaled_error <= _BETTER * best.error

    def _better(self) -> str:
        best = self.best
        changed = "" if best.variant is AS_THEY_ARE else f"{best.variant.name}, "
        if not self._scaled:
            return f"{changed}the data fit with a relative error of {best.error:.2g}"
        near = [
            words for factor, words in self.units.items() if abs(best.scale / factor - 1) < _NEAR
        ]
        unit = f", as for {near[0]}" if near else ", as for another unit"
        return (
            f"{changed}the data fit {best.scale:.4g} times T(truth) with a relative error of "
            f"{best.scaled_error:.2g}{unit}"
        )


@torch.no_grad()
def consistency(pairs: Sequence[Pair], *, least: float = 0.0) -> Consistency:
    """Comparison of T(truth) with data, as they are and after common changes.

    Data count where T measures; see :attr:`learnedrecon.operators.base.Operator.measured`.

    Args:
        pairs: True images with their data, of a few samples.
        least: Misfit of the data as they are up to which no variant is tried that needs another
            application of an operator.
    """
    tables = [dict(_fits(pair, least)) for pair in pairs]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    fits = (_median([table[name] for table in tables]) for name in shared)
    return Consistency(tuple(fits), tuple(pair.name for pair in pairs), units(pairs[0].operator))


def _preferred(fits: Sequence[Fit], size: Callable[[Fit], float]) -> Fit:
    """The smallest; the first, the data as they are, where no other is much smaller."""
    smallest = min(fits, key=size)
    return fits[0] if _BETTER * size(fits[0]) <= size(smallest) else smallest


def _fits(pair: Pair, least: float) -> Iterator[tuple[str, Fit]]:
    predicted = pair.operator(pair.truth)
    as_is = _fit(AS_THEY_ARE, pair.operator, predicted, pair.data)
    yield AS_THEY_ARE.name, as_is
    for variant in variants(pair.operator):
        if variant.measures and as_is.error <= least:
            continue
        data, made = variant.data(pair.data), predicted
        operator = pair.operator
        if variant.measures:
            operator = operator if variant.operator is None else variant.operator()
            operator = operator.to(pair.data.device)
            made = operator(variant.image(pair.truth))
        fits = data.shape == made.shape and bool(data.isfinite().all())
        if fits and _remains(operator, data, pair.data):
            yield variant.name, _fit(variant, operator, made, data)


def _remains(operator: Operator, changed: Tensor, data: Tensor) -> bool:
    """True if most of changed data is where T measures: without data everything fits."""
    if operator.measured is None:
        return True
    kept = torch.where(operator.measured, changed, torch.zeros_like(changed))
    return float(kept.abs().square().sum()) >= _KEPT * float(data.abs().square().sum())


def _fit(variant: Variant, operator: Operator, predicted: Tensor, data: Tensor) -> Fit:
    if operator.measured is not None:
        data = torch.where(operator.measured, data, torch.zeros_like(data))
    size = float(torch.linalg.vector_norm(predicted)) ** 2
    product = float((predicted.conj() * data).real.sum())
    scale = product / size if size > 0 else 1.0
    return Fit(variant, _relative(predicted, data), scale, _relative(scale * predicted, data))


def _median(fits: Sequence[Fit]) -> Fit:
    return Fit(
        fits[0].variant,
        median(fit.error for fit in fits),
        median(fit.scale for fit in fits),
        median(fit.scaled_error for fit in fits),
    )


def _relative(predicted: Tensor, data: Tensor) -> float:
    size = float(torch.linalg.vector_norm(data))
    gap = float(torch.linalg.vector_norm(predicted - data))
    return gap / size if size > 0 else float(gap > 0)


def _numbers(fit: Fit) -> str:
    text = f"{fit.error:.2g}"
    if fit.scaled_error <= _BETTER * fit.error:
        text += f" ({fit.scaled_error:.2g} for y = {fit.scale:.3g} T(truth))"
    return text
