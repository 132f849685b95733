"""Non-Cartesian transforms for the table of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Kooshball, Points, Radial, Spiral, Stacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.mri.trajectories import Trajectory

    Case = Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]


def _random(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _single(shape: tuple[int, ...], trajectory: Trajectory) -> Case:
    return lambda real: NonCartesianMRI(NonCartesian(shape, trajectory), dtype=real.to_complex())


def _coils(shape: tuple[int, ...], trajectory: Trajectory, coils: int) -> Case:
    def build(real: torch.dtype) -> Operator:
        maps = _random(coils, *shape, dtype=real.to_complex())
        return NonCartesianMRI(NonCartesian(shape, trajectory, coils), maps, real.to_complex())

    return build


def _per_sample(coils: int | None, *, maps: bool, trajectory: bool) -> Case:
    """Maps or trajectories of their own for two samples."""

    def build(real: torch.dtype) -> tuple[Operator, Tensor]:
        shape, plan = (5, 6), Radial(3, 8)
        operator = NonCartesianMRI(NonCartesian(shape, plan, coils), dtype=real.to_complex())
        tensors = {}
        if maps:
            tensors["maps"] = _random(2, 1, coils or 0, *shape, dtype=real.to_complex())
        if trajectory:
            moved = 0.1 * _random(2, 1, *plan.shape, 2, dtype=torch.float64)
            tensors["trajectory"] = operator.trajectory + moved
        return operator.with_tensors(tensors), operator.domain.random().expand(2, 1, *shape)

    return build


def _normal(coils: int | None) -> Case:
    def build(real: torch.dtype) -> Operator:
        shape = (6, 7)
        spec = NonCartesian(shape, Radial(5, 12), coils)
        maps = None if coils is None else _random(coils, *shape, dtype=real.to_complex())
        weights = _random(5, 12, dtype=torch.float64, seed=1).abs()
        return NonCartesianMRI(spec, maps, real.to_complex()).normal(weights)

    return build


_SCATTERED = Points(tuple(map(tuple, (_random(4, 5, 2, dtype=torch.float64) % 3).tolist())))

CASES: dict[str, Case] = {
    "radial, golden": _single((8, 9), Radial(6, 16)),
    "radial, uniform, odd": _single((7, 5), Radial(4, 11, "uniform", start=0.3)),
    "spiral": _single((8, 8), Spiral(3, 20, turns=1.5)),
    "points": _single((6, 4), _SCATTERED),
    "one sample": _single((3, 4), Radial(1, 1)),
    "one pixel": _single((1, 1), Radial(2, 3)),
    "kooshball": _single((4, 5, 6), Kooshball(5, 8)),
    "stack of stars": _single((4, 5, 6), Stacked(Radial(3, 7), 4)),
    "stack of spirals": _single((3, 4, 4), Stacked(Spiral(2, 9, 1.0, 1.0), 3)),
    "coils": _coils((7, 6), Radial(5, 12), 3),
    "one coil": _coils((7, 6), Radial(5, 12), 1),
    "coils, 3D": _coils((4, 3, 5), Kooshball(4, 8), 2),
    "maps for each sample": _per_sample(3, maps=True, trajectory=False),
    "trajectory for each sample": _per_sample(None, maps=False, trajectory=True),
    "maps and trajectory for each sample": _per_sample(2, maps=True, trajectory=True),
    "Toeplitz normal operator": _normal(None),
    "Toeplitz normal operator, coils": _normal(3),
}
