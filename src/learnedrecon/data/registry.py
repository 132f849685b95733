"""The datasets and noise models that a configuration or a checkpoint can name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from learnedrecon import specs
from learnedrecon.data.datasets import EllipseDataset, EllipseSpec, SheppLogan, SheppLoganSpec
from learnedrecon.data.noises import NOISES
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.specs import Entry, Registry

if TYPE_CHECKING:
    from learnedrecon.data.datasets import SampleDataset

__all__ = ["DATASETS", "NOISES", "build_dataset"]

DATASETS: Registry[SampleDataset] = MappingProxyType(
    {
        "ellipses": Entry(EllipseSpec, EllipseDataset, "random ellipse phantoms, without end"),
        "shepp_logan": Entry(SheppLoganSpec, SheppLogan, "the modified Shepp-Logan phantom"),
        "pairs": Entry(PairFolderSpec, PairFolder, "your own measurements and true images"),
    }
)


def build_dataset(spec: Any, operator: Any = None) -> SampleDataset:  # noqa: ANN401 - any specs
    """The dataset that ``spec`` describes.

    Args:
        spec: of the dataset, one of those above.
        operator: the spec of the operator that the data are for. Folders of pairs check their
            shapes against it, and derive from it the operators of images of other shapes.

    Raises:
        ConfigError: ``spec`` is not registered.
    """
    if isinstance(spec, PairFolderSpec):
        return PairFolder(spec, operator)
    return specs.build(DATASETS, spec)
