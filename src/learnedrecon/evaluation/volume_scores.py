"""Scores of whole volumes, from the scores' batches of slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learnedrecon.metrics.statistics import Summary, summarise
from learnedrecon.metrics.volume import VolumeMetrics, volume_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.data.volumes import Volume


@dataclass(frozen=True)
class VolumeScores:
    """Scores of one method, volume by volume, as :mod:`learnedrecon.metrics.volume` defines them.

    Attributes:
        names: Names of the volumes.
        metrics: Measures of each.
        referenced: Number of volumes that were compared with reference images of their files; the
            others were compared with the magnitudes of the true images.
        incomplete: Names of volumes of which not all slices were reconstructed.
    """

    names: tuple[str, ...]
    metrics: tuple[VolumeMetrics, ...]
    referenced: int
    incomplete: tuple[str, ...]

    def summary(self) -> dict[str, Summary]:
        """Mean, standard deviation and standard error over the volumes with a finite measure."""
        columns = {
            name: np.array([getattr(each, name) for each in self.metrics])
            for name in ("psnr", "ssim", "nmse")
        }
        finite = {name: values[np.isfinite(values)] for name, values in columns.items()}
        none = Summary(np.nan, np.nan, np.nan)
        return {name: summarise(v) if len(v) else none for name, v in finite.items()}

    def to_plain(self) -> dict[str, Any]:
        """Means and single values as plain numbers for JSON; null where there is none."""
        plain: dict[str, Any] = {
            "volumes": len(self.names),
            "range": "largest value of the volume",
            "compared_with_reference_images": self.referenced,
        }
        for name, value in self.summary().items():
            plain[name] = _number(value.mean)
            plain[f"{name}_std"] = _number(value.std)
        plain["per_volume"] = {
            name: {"nmse": _number(m.nmse), "psnr": _number(m.psnr), "ssim": _number(m.ssim)}
            for name, m in zip(self.names, self.metrics, strict=True)
        }
        return plain | ({"incomplete": list(self.incomplete)} if self.incomplete else {})


class VolumeCollector:
    """The slices of volumes that are not complete yet; complete ones are scored at once.

    Args:
        volumes: Volumes of a dataset.
    """

    def __init__(self, volumes: Sequence[Volume]) -> None:
        self.volumes = volumes
        self._of = {name: volume for volume in volumes for name in volume.ids}
        self._slices: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
        self._found: dict[str, VolumeMetrics] = {}
        self._referenced = 0

    def add(self, ids: Sequence[str], truths: Tensor, images: Tensor) -> None:
        """Takes the images of a batch.

        Args:
            ids: Names of the samples.
            truths: True images (batch, 1, *space).
            images: Reconstructed images, of the same shape.
        """
        for name, truth, image in zip(ids, truths, images, strict=True):
            volume = self._of.get(name)
            if volume is None:
                continue
            slices = self._slices.setdefault(volume.name, {})
            slices[name] = (volume.cropped(truth[0]).cpu(), volume.cropped(image[0]).cpu())
            if len(slices) == len(volume.ids):
                self._score(volume, self._slices.pop(volume.name))

    def scores(self) -> VolumeScores | None:
        """The scores of all complete volumes; None where there are no volumes."""
        if not self.volumes:
            return None
        names = tuple(self._found)
        metrics = tuple(self._found.values())
        return VolumeScores(names, metrics, self._referenced, tuple(self._slices))

    def _score(self, volume: Volume, slices: dict[str, tuple[Tensor, Tensor]]) -> None:
        reference = volume.reference()
        if reference is None:
            reference = torch.stack([slices[name][0] for name in volume.ids])
        else:
            self._referenced += 1
        estimate = torch.stack([slices[name][1] for name in volume.ids])
        self._found[volume.name] = volume_metrics(
            truth=reference.numpy(), estimate=estimate.numpy()
        )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
