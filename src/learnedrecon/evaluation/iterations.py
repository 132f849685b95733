"""Error and residual of a scheme after every iteration, also beyond those of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learnedrecon.errors import ConfigError, DataError, describe
from learnedrecon.metrics.image import psnr_torch
from learnedrecon.metrics.pictures import pictures
from learnedrecon.schemes.iterations import iterations, model_with_iterations
from learnedrecon.schemes.reconstructor import Iterative

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from learnedrecon.data.batch import Batch
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.schemes.reconstructor import Reconstructor

QUARTILES = (0.25, 0.5, 0.75)
MOST_ITERATIONS = 100_000
"""Iterations that are run and drawn at most."""


@dataclass(frozen=True, eq=False)
class IterationCurves:
    """Error, change and data residual after every iteration, for every test image.

    Attributes:
        method: Name of the method.
        numbers: Numbers of the iterations, (K,).
        trained: Number of iterations of the scheme itself; the largest one of a fixed point.
        psnr: PSNR of u_k in dB, (K, images); -inf where u_k is not finite.
        change: ‖u_{k+1} - u_k‖ / ‖u_k‖, (K, images); inf where it is not finite.
        data_residual: ‖T(u_k) - y‖ / ‖y‖, (K, images); inf where it is not finite.
    """

    method: str
    numbers: np.ndarray
    trained: int
    psnr: np.ndarray
    change: np.ndarray
    data_residual: np.ndarray

    @property
    def images(self) -> int:
        return int(self.psnr.shape[1])

    def to_plain(self) -> dict[str, Any]:
        """Median and quartiles for JSON; null where they are not finite."""
        curves = {
            name: dict(zip(("lower", "median", "upper"), quartiles(values), strict=True))
            for name, values in self.named().items()
        }
        return {
            "method": self.method,
            "images": self.images,
            "trained_iterations": self.trained,
            "iterations": self.numbers.tolist(),
            **{
                name: {key: _finite(values) for key, values in bands.items()}
                for name, bands in curves.items()
            },
        }

    def named(self) -> dict[str, np.ndarray]:
        """The three curves by name."""
        return {
            "psnr": self.psnr,
            "change": self.change,
            "data_residual": self.data_residual,
        }


def parse_iterations(text: str) -> tuple[int, int]:
    """The first and last iteration of a text: ``"1:100"``, or ``"100"`` for ``"1:100"``.

    Args:
        text: Text to parse.

    Raises:
        ConfigError: The text has another form, or not 1 <= first <= last <= MOST_ITERATIONS.
    """
    first, colon, last = text.rpartition(":")
    try:
        found = (int(first) if colon else 1, int(last))
    except ValueError:
        found = (0, 0)
    if not 1 <= found[0] <= found[1] <= MOST_ITERATIONS:
        raise ConfigError(
            describe(
                expected=f"iterations FIRST:LAST with 1 <= FIRST <= LAST <= {MOST_ITERATIONS}, such"
                " as 1:100",
                found=f"'{text}'",
                fix="correct --iterations",
            )
        )
    return found


@torch.no_grad()
def iteration_curves(
    method: str,
    model: Reconstructor,
    batches: Iterable[Batch],
    data_range: DataRange,
    span: tuple[int, int],
    *,
    on_batch: Callable[[int], None] | None = None,
) -> IterationCurves:
    """Curves of ``model``, which runs once per batch up to one iteration beyond ``span``.

    True images without a PSNR, constant ones with the range 'max-min', are omitted.

    Args:
        method: Name for figures.
        model: Learned iterative scheme, which the caller has set to evaluation mode.
        batches: Batches with truths; schemes in random order need ``span[1] + 1`` draws in them.
        data_range: Data range of the PSNR.
        span: First and last iteration.
        on_batch: Function that is told the number of images done, for progress.

    Raises:
        ConfigError: The method has no iterations.
        DataError: There are no images, or a batch has no truth.
    """
    first, last = span
    longer = model_with_iterations(model, last + 1)
    columns = []
    for batch in batches:
        if batch.truth is None:
            raise _no_truth(f"none for {', '.join(batch.ids[:4])}")
        rows = list(_rows(longer, batch, data_range))
        columns.append(torch.stack(rows)[first - 1 :])
        if on_batch is not None:
            on_batch(len(batch.ids))
    if not columns:
        raise _no_truth("no test images")
    table = torch.cat(columns, dim=2).cpu().numpy()
    table = table[:, :, ~np.isnan(table[0, 0])]
    if table.shape[2] == 0:
        raise _no_truth("constant ones alone, which have no PSNR with the range 'max-min'")
    assert isinstance(model, Iterative)
    return IterationCurves(
        method,
        np.arange(first, last + 1),
        iterations(model.scheme),
        psnr=np.nan_to_num(table[:, 0], nan=-np.inf, posinf=np.inf, neginf=-np.inf),
        change=np.nan_to_num(table[:, 1], nan=np.inf, posinf=np.inf),
        data_residual=np.nan_to_num(table[:, 2], nan=np.inf, posinf=np.inf),
    )


def quartiles(values: np.ndarray) -> list[np.ndarray]:
    """Lower quartile, median and upper quartile over the images, each (K,), also of infinities.

    Args:
        values: Values (K, images).
    """
    return [np.quantile(values, q, axis=1, method="nearest") for q in QUARTILES]


def _rows(model: Iterative, batch: Batch, data_range: DataRange) -> Iterator[Tensor]:
    """(3, batch) for every iteration but the last one: PSNR, change, data residual."""
    problem, truth = batch.problem, batch.truth
    assert truth is not None
    before: Tensor | None = None
    for estimate in model.iterates(problem):
        image = estimate.image
        if before is not None:
            yield torch.stack(
                [
                    _psnr(truth, before, data_range),
                    _relative(image - before, before),
                    _relative(problem.forward(before) - problem.data, problem.data),
                ]
            )
        before = image


def _psnr(truth: Tensor, image: Tensor, data_range: DataRange) -> Tensor:
    """Of every image; -inf where it is not finite, NaN where its range is not defined."""
    finite = image.isfinite().flatten(1).all(dim=1)
    tame = torch.where(finite.reshape(-1, *[1] * (image.ndim - 1)), image, torch.zeros_like(image))
    u, v = pictures(truth), pictures(tame)
    there = data_range.defined(u)
    found = torch.full((len(u),), torch.nan, dtype=torch.float64, device=u.device)
    if bool(there.any()):
        found[there] = psnr_torch(truth=u[there], estimate=v[there], data_range=data_range)
    return torch.where(finite | ~there, found, -torch.inf)


def _relative(difference: Tensor, size: Tensor) -> Tensor:
    above = torch.linalg.vector_norm(difference.flatten(1), dim=1, dtype=torch.float64)
    below = torch.linalg.vector_norm(size.flatten(1), dim=1, dtype=torch.float64)
    return torch.where(above == 0, 0.0, above / below)


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _no_truth(found: str) -> DataError:
    return DataError(
        describe(
            expected="test images with a truth to compare with",
            found=found,
            fix="use a test set with truths",
        )
    )
