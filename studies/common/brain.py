"""Slices of a brain for four kinds of undersampling: two families of masks, two accelerations.

The ICBM152 template of the package nilearn in pixels of 2 mm, with the k-space of eight simulated
coils. Item i of a split has the kind i modulo 4. In validation and test four items in a row are of
one slice, so that the kinds are compared on the same images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import learnedrecon as lr
from learnedrecon.data import SampleDataset
from learnedrecon.data.icbm152 import Icbm152, Icbm152Spec
from learnedrecon.data.kspace.simulated import MagnitudeSimulation
from learnedrecon.data.seeds import Split  # noqa: TC001 - an argument that files record
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.mri.sampling import Equispaced, RandomLines

if TYPE_CHECKING:
    from learnedrecon.data import Sample
    from learnedrecon.operators.mri.sampling import LineMask

NAME = "brain_slices"
SHAPE, PIXEL, COILS = (112, 96), 2, 8
OPERATOR = Cartesian(SHAPE, coils=COILS)
MASKS: Final[dict[str, LineMask]] = {
    "random, 4×": RandomLines((4,), (0.08,)),
    "equispaced, 4×": Equispaced((4,), (0.08,)),
    "random, 8×": RandomLines((8,), (0.04,)),
    "equispaced, 8×": Equispaced((8,), (0.04,)),
}
"""The kinds of undersampling, in the order of the items."""


@lr.register(NAME)
class BrainSlices(SampleDataset):
    """Slices of the ICBM152 brain with masks of four kinds.

    Args:
        split: "train", "validation" or "test".
        length: Number of items.
        seed: Seed of slices, deformations, contrasts, phases, coils, masks and noise.
        kind: One of :data:`MASKS`; None for all in turn.
    """

    def __init__(
        self,
        split: Split = "train",
        length: int = 1_000_000,
        seed: int = 0,
        kind: str | None = None,
    ) -> None:
        self.split: Split = split
        self.length = length
        masks = MASKS if kind is None else {kind: MASKS[kind]}
        simulation = MagnitudeSimulation(COILS)
        self.kinds = {
            name: Icbm152(
                Icbm152Spec(
                    SHAPE,
                    split=split,
                    seed=seed,
                    mask=mask,
                    simulation=simulation,
                    pixel=PIXEL,
                )
            )
            for name, mask in masks.items()
        }

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        kinds = list(self.kinds)
        name = kinds[index % len(kinds)]
        sample = self.kinds[name][index // len(kinds) if self.split != "train" else index]
        return sample._replace(id=f"{sample.id} {name}")
