"""The datasets and noise models that a configuration or a checkpoint can name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from learnedrecon import specs
from learnedrecon.data.datasets import EllipseDataset, EllipseSpec, SheppLogan, SheppLoganSpec
from learnedrecon.data.noises import NOISES
from learnedrecon.specs import Entry, Registry

if TYPE_CHECKING:
    from learnedrecon.data.datasets import SampleDataset

__all__ = ["DATASETS", "NOISES", "build_dataset"]

DATASETS: Registry[SampleDataset] = MappingProxyType(
    {
        "ellipses": Entry(EllipseSpec, EllipseDataset, "random ellipse phantoms, without end"),
        "shepp_logan": Entry(SheppLoganSpec, SheppLogan, "the modified Shepp-Logan phantom"),
    }
)


def build_dataset(spec: Any) -> SampleDataset:  # noqa: ANN401 - one of the specs above
    """The dataset that ``spec`` describes.

    Raises:
        ConfigError: ``spec`` is not registered.
    """
    return specs.build(DATASETS, spec)
