"""Scores of one method over many images."""

from __future__ import annotations

import math
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learnedrecon.errors import DataError, describe
from learnedrecon.evaluation.volume_scores import VolumeCollector, VolumeScores
from learnedrecon.metrics.image import SSIM_WINDOW, nmse, psnr, ssim
from learnedrecon.metrics.pictures import pictures
from learnedrecon.metrics.statistics import Summary, summarise
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from learnedrecon.data.batch import Batch
    from learnedrecon.data.volumes import Volume
    from learnedrecon.metrics.ranges import DataRange
    from learnedrecon.problem import Problem
    from learnedrecon.schemes.reconstructor import Estimate, Reconstructor

_NO_SUMMARY = Summary(math.nan, math.nan, math.nan)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Scores:
    """Scores of one method, image by image.

    Complex images are scored by their magnitudes, and volumes as
    :func:`learnedrecon.metrics.pictures.pictures` describes. An undefined score is NaN and counts
    in no mean: PSNR and SSIM of a constant true image where the data range is that of the image,
    NMSE of a true image that is zero, and SSIM of images smaller than its window.

    Attributes:
        method: Name of the method.
        psnr: PSNR in dB, one per image.
        ssim: SSIM, one per image.
        nmse: ‖u - û‖²/‖u‖², one per image.
        seconds: Seconds per image, from the problem to the image on its device: the time of a batch
            divided by its number of images, the median over batches. ‖T‖, which is known once for a
            scan, and earlier work queued on a GPU are not included. Other work of the first call
            is, so that it affects the result where there are one or two batches.
        parameters: Number of learned parameters.
        status: Outcome of the solver over all batches, see :func:`condensed`.
        ids: Names of the images, in order.
        volume: Scores of whole volumes where the images are their slices, or None.
    """

    method: str
    psnr: np.ndarray
    ssim: np.ndarray
    nmse: np.ndarray
    seconds: float
    parameters: int
    status: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    volume: VolumeScores | None = None

    @property
    def unit(self) -> str:
        """The noun for one score: "image", or "slice" where images are slices of volumes."""
        return "image" if self.volume is None else "slice"

    @property
    def images(self) -> int:
        return len(self.psnr)

    @property
    def undefined(self) -> tuple[str, ...]:
        """Names of the images without a finite PSNR and NMSE, which do not count in their means."""
        without = ~np.isfinite(self.psnr) | ~np.isfinite(self.nmse)
        names = self.ids or tuple(f"number {k}" for k in range(self.images))
        return tuple(name for name, missing in zip(names, without, strict=True) if missing)

    def named(self) -> dict[str, np.ndarray]:
        """The three scores by name, each (images,)."""
        return {"psnr": self.psnr, "ssim": self.ssim, "nmse": self.nmse}

    def summary(self) -> dict[str, Summary]:
        """Mean, standard deviation and standard error of every metric; NaN without an image."""
        there = {name: values[np.isfinite(values)] for name, values in self.named().items()}
        return {name: summarise(v) if len(v) else _NO_SUMMARY for name, v in there.items()}

    def to_plain(self) -> dict[str, Any]:
        """Means and standard deviations as plain numbers for JSON; null where there is none."""
        plain: dict[str, Any] = {"images": self.images}
        for name, value in self.summary().items():
            plain[name] = None if np.isnan(value.mean) else value.mean
            plain[f"{name}_std"] = None if np.isnan(value.std) else value.std
        plain |= {"seconds": self.seconds, "parameters": self.parameters}
        if self.undefined:
            plain["undefined"] = list(self.undefined)
        if self.volume is not None:
            plain |= {"of": self.unit, "volume": self.volume.to_plain()}
        return plain | ({"status": list(self.status)} if self.status else {})

    def per_image(self) -> dict[str, list[float | None]]:
        """Every score as plain numbers, null where it is not defined."""
        return {
            name: [float(value) if np.isfinite(value) else None for value in values]
            for name, values in self.named().items()
        }


def count_parameters(model: torch.nn.Module) -> int:
    """The number of learned parameters of a model.

    Args:
        model: Model.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def evaluate(
    method: str,
    model: Reconstructor,
    batches: Iterable[Batch],
    data_range: DataRange,
    *,
    on_batch: Callable[[int], None] | None = None,
    volumes: Sequence[Volume] = (),
) -> Scores:
    """The scores of ``model`` against the truth of every batch.

    Args:
        method: Name for tables.
        model: Method; it is set to evaluation mode and back.
        batches: Batches with truths.
        data_range: Data range of PSNR and SSIM.
        on_batch: Function that is told the number of images done, for progress.
        volumes: Volumes of which the images are slices, which are scored too.

    Raises:
        DataError: There are no images, a batch has no truth, an estimate is not finite, or no image
            has a PSNR.
    """
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    seconds: list[float] = []
    status: list[str] = []
    ids: list[str] = []
    collector = VolumeCollector(volumes)
    with _evaluating(model):
        for batch in batches:
            truth = _truth_of(batch)
            estimate, elapsed = _timed(model, batch.problem, truth.device)
            rows.append(_measured(truth, estimate.image, data_range))
            collector.add(batch.ids, truth, estimate.image)
            seconds.append(elapsed / len(batch.ids))
            ids.extend(batch.ids)
            if estimate.status is not None:
                status.append(estimate.status)
            if on_batch is not None:
                on_batch(len(batch.ids))
    if not rows:
        raise _no_truth(())
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    if np.isnan(columns[0]).all():
        raise _undefined(ids)
    return Scores(
        method=method,
        psnr=columns[0],
        ssim=columns[1],
        nmse=columns[2],
        seconds=float(np.median(seconds)),
        parameters=count_parameters(model),
        status=condensed(status),
        ids=tuple(ids),
        volume=collector.scores(),
    )


def condensed(texts: Sequence[str]) -> tuple[str, ...]:
    """Each text once; texts that differ only in numbers are merged, with the largest numbers.

    Args:
        texts: Status texts of a solver.
    """
    alike: dict[tuple[str, ...], list[list[str]]] = {}
    for text in texts:
        alike.setdefault(tuple(_NUMBER.split(text)), []).append(_NUMBER.findall(text))
    return tuple(_with_largest(words, numbers) for words, numbers in alike.items())


def _with_largest(words: tuple[str, ...], numbers: list[list[str]]) -> str:
    largest = [max(column, key=float) for column in zip(*numbers, strict=True)]
    text = "".join(part for pair in zip(words, [*largest, ""], strict=True) for part in pair)
    several = any(each != numbers[0] for each in numbers)
    return f"{text} (The largest numbers of {len(numbers)} batches.)" if several else text


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode; every part is in its own mode again at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _timed(model: Reconstructor, problem: Problem, device: torch.device) -> tuple[Estimate, float]:
    if isinstance(problem.operator, LinearOperator):
        problem.operator.norm()
    _wait_for(device)
    start = time.perf_counter()
    estimate: Estimate = model(problem)
    _wait_for(estimate.image.device)
    return estimate, time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    """Until everything that is queued on a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measured(
    truth: Tensor, image: Tensor, data_range: DataRange
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PSNR, SSIM and NMSE of a batch, NaN where they are not defined."""
    u, v = pictures(truth), pictures(image)
    ranged = data_range.defined(u).cpu()
    large = min(u.shape[-2:]) >= SSIM_WINDOW
    nonzero = u.flatten(1).any(dim=1).cpu()

    def where(mask: Tensor, metric: Callable[[Tensor, Tensor], np.ndarray]) -> np.ndarray:
        found = np.full(len(u), np.nan)
        if bool(mask.any()):
            found[mask.numpy()] = metric(u[mask.to(u.device)], v[mask.to(v.device)])
        return found

    require_finite(image)
    return (
        where(ranged, lambda a, b: psnr(truth=a, estimate=b, data_range=data_range)),
        where(ranged & large, lambda a, b: ssim(truth=a, estimate=b, data_range=data_range)),
        where(nonzero, lambda a, b: nmse(truth=a, estimate=b)),
    )


def require_finite(image: Tensor) -> None:
    """Check that an estimate is finite, as otherwise no score has a meaning.

    Args:
        image: Estimate.

    Raises:
        DataError: A value is NaN or infinite.
    """
    finite = image.isfinite().flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise DataError(
            describe(
                expected="finite images",
                found=f"NaN or infinity in the estimates at batch index "
                f"{(~finite).nonzero().flatten().tolist()}",
                fix="find the computation that produced them, as a mean over such images has no "
                "meaning",
            )
        )


def _undefined(ids: Sequence[str]) -> DataError:
    return DataError(
        describe(
            expected="a true image that is not constant, for the range 'max-min'",
            found=f"{len(ids)} constant ones, {', '.join(ids[:4])}",
            fix="choose another test set, or a fixed range, --range range=1",
        )
    )


def _truth_of(batch: Batch) -> Tensor:
    if batch.truth is None:
        raise _no_truth(batch.ids)
    return batch.truth


def _no_truth(ids: tuple[str, ...]) -> DataError:
    return DataError(
        describe(
            expected="test images with a truth to compare with",
            found=f"none for {', '.join(ids[:4])}" if ids else "no test images",
            fix="use a test set with truths, or reconstruct without evaluating",
        )
    )
