"""Registry of the datasets that configurations can name."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from learnedrecon import specs
from learnedrecon.data.datasets import (
    EllipseDataset,
    EllipseSpec,
    SampleDataset,
    SheppLogan,
    SheppLoganSpec,
)
from learnedrecon.data.icbm152 import Icbm152, Icbm152Spec
from learnedrecon.data.kspace.dataset import KSpaceSlices, KSpaceSpec
from learnedrecon.data.pairs import PairFolder, PairFolderSpec
from learnedrecon.data.photographs import Photographs, PhotographSpec
from learnedrecon.data.published.lodopab import Lodopab, LodopabSpec
from learnedrecon.data.published.two_detect import TwoDetect, TwoDetectSpec
from learnedrecon.registry import Registry
from learnedrecon.specs import Entry

if TYPE_CHECKING:
    from learnedrecon.recorded import Record

DATASETS: Registry[SampleDataset] = Registry(
    "dataset",
    SampleDataset,  # type: ignore[type-abstract]
    {
        "ellipses": Entry(EllipseSpec, EllipseDataset, "random ellipse phantoms, without end"),
        "shepp_logan": Entry(SheppLoganSpec, SheppLogan, "the modified Shepp-Logan phantom"),
        "photographs": Entry(
            PhotographSpec, Photographs, "grey patches of the photographs inside scikit-image"
        ),
        "icbm152": Entry(
            Icbm152Spec, Icbm152, "slices of the ICBM152 brain inside nilearn, with labels"
        ),
        "pairs": Entry(PairFolderSpec, PairFolder, "your own measurements and true images"),
        "lodopab": Entry(LodopabSpec, Lodopab, "LoDoPaB-CT in its published files"),
        "kspace": Entry(KSpaceSpec, KSpaceSlices, "slices of MRI files with k-space, undersampled"),
        "2detect": Entry(TwoDetectSpec, TwoDetect, "2DeteCT in its published folders"),
    },
)


@singledispatch
def build_dataset(spec: Record, operator: Record = None) -> SampleDataset:  # noqa: ARG001 - what other kinds look at
    """The dataset that a record describes.

    Args:
        spec: Record of a registered dataset.
        operator: Record of the operator of the data. Folders of pairs check their shapes against
            it, and derive from it the operators of images of other shapes.

    Raises:
        ConfigError: ``spec`` is not registered.
    """
    return specs.build(DATASETS, spec)


@build_dataset.register(PairFolderSpec)
def _(spec: PairFolderSpec, operator: Record = None) -> SampleDataset:
    return PairFolder(spec, operator)
