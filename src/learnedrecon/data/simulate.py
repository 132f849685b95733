"""Simulated data: the operator, optionally on a finer grid, and noise per sample."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import torch
from torch import Generator, Tensor, nn

from learnedrecon import specs
from learnedrecon.data.noise import RelativeGaussian
from learnedrecon.data.noise_registry import NoiseSpec
from learnedrecon.data.phantoms.ellipses import ellipse_preset
from learnedrecon.errors import ConfigError, describe
from learnedrecon.limits import in_counts, refuse_bytes
from learnedrecon.operators.ray.grids import on_grid
from learnedrecon.operators.registry import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from learnedrecon.operators.base import Operator
    from learnedrecon.recorded import Record

_NO_TENSORS: Final[Mapping[str, Tensor]] = MappingProxyType({})


@dataclass(frozen=True)
class Simulation:
    """The configuration of simulated data.

    Attributes:
        noise: Noise model.
        grid: Number of pixels ``(ny, nx)`` to which the image is enlarged bilinearly before it is
            projected, so that data do not come from the matrix that is inverted; None projects the
            image itself. DIVal uses (400, 400) for its 128² ellipses. The grid is at least as fine
            as every image: bilinear interpolation to fewer pixels would cause aliasing.
        seed: Seed of the noise, in [0, 2⁶⁴).

    Raises:
        ConfigError: The seed is out of range, or the grid has no pixels.
    """

    noise: NoiseSpec
    grid: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.grid is not None:
            object.__setattr__(self, "grid", tuple(int(n) for n in self.grid))
        if self.grid is not None and (len(self.grid) != 2 or min(self.grid) < 1):
            raise ConfigError(
                describe(
                    expected="a grid (ny, nx) of two numbers of at least 1, or none",
                    found=f"grid = {self.grid}",
                    fix="correct 'grid' or omit it",
                )
            )
        if not 0 <= self.seed < 2**64:
            raise ConfigError(
                describe(
                    expected="a seed in [0, 2^64)",
                    found=f"seed = {self.seed}",
                    fix="choose a non-negative seed",
                )
            )


def ellipse_simulation(preset: str, seed: int = 0) -> Simulation:
    """The simulation used by the source of an ellipse preset.

    The noise is the preset's; ``dival`` projects from a grid of 400 × 400.

    Args:
        preset: Name of the preset.
        seed: Seed of the noise.

    Raises:
        ConfigError: There is no such preset.
    """
    noise = RelativeGaussian(ellipse_preset(preset).noise_level)
    return Simulation(noise, (400, 400) if preset == "dival" else None, seed)


class Simulator:
    """A function from images to simulated data, batched, on the device of the images.

    The data of a sample depend only on ``(simulation.seed, id)`` and its own image: they are
    identical to the last bit in any batch, order or worker.

    Args:
        simulation: Configuration of the simulation.
        operator: T, which simulates where there is no grid.
        spec: Spec of T; needed where there is a grid, to build T there.

    Raises:
        ConfigError: A grid is given for an operator without one, see :func:`on_grid`, or it is
            smaller than its images.
    """

    def __init__(
        self,
        simulation: Simulation,
        operator: Operator,
        spec: Record = None,
    ) -> None:
        self.simulation = simulation
        self.operator = operator
        if simulation.grid is not None:
            needed = 4 * math.prod(simulation.grid)
            what = "images on 'simulation.grid'"
            refuse_bytes(needed, what, of=in_counts(simulation.grid))
            fine = on_grid(spec, simulation.grid)
            _refuse_coarser(simulation.grid, tuple(operator.domain.shape))
            self.operator = specs.build(OPERATORS, fine)

    @torch.no_grad()
    def __call__(
        self, truth: Tensor, ids: Sequence[str], tensors: Mapping[str, Tensor] = _NO_TENSORS
    ) -> Tensor:
        """Data for a batch of images.

        Args:
            truth: u, (batch, channel, *domain).
            ids: of the samples.
            tensors: of the operator, one per sample, by name.

        Returns:
            T(u) + noise, (batch, channel, *codomain), without a graph.

        Raises:
            ShapeError: ``truth`` does not fit the operator.
            ConfigError: ``truth`` has more pixels than the grid along a side.
            DataError: values that the noise model does not allow.
        """
        clean, measured = self._clean(truth, tensors)
        seed, device = self.simulation.seed, clean.device
        generators = [noise_generator(seed, name, device) for name in ids]
        return self.simulation.noise.apply(clean, generators, measured)

    def _clean(self, truth: Tensor, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """T(u), one image at a time, and which of its entries are measured.

        Kernels choose their arithmetic by the size of the batch. A last bit that changes with it
        would turn into another Poisson count, and shift every count that is drawn after it.
        """
        operator = self.operator.to(truth.device)
        parts, masks = [], []
        for k in range(len(truth)):
            own = operator.with_tensors({name: each[k : k + 1] for name, each in tensors.items()})
            parts.append(own(self._enlarged(truth[k : k + 1])))
            if own.measured is not None:
                masks.append(own.measured.expand(parts[-1].shape))
        return torch.cat(parts), torch.cat(masks) if masks else None

    def _enlarged(self, truth: Tensor) -> Tensor:
        grid = self.simulation.grid
        if grid is None or tuple(truth.shape[-2:]) == grid:
            return truth
        _refuse_coarser(grid, tuple(truth.shape[-2:]))
        return nn.functional.interpolate(truth, grid, mode="bilinear", align_corners=False)


def _refuse_coarser(grid: tuple[int, int], shape: tuple[int, ...]) -> None:
    if any(fine < coarse for fine, coarse in zip(grid, shape, strict=True)):
        raise ConfigError(
            describe(
                expected=f"a grid to enlarge images of {shape} pixels to",
                found=f"grid = {grid}",
                fix="choose about twice the pixels of the largest image, or omit 'grid'",
            )
        )


def noise_generator(seed: int, sample: str, device: torch.device | str = "cpu") -> Generator:
    """The noise generator of a sample, seeded by a hash of ``(seed, sample)``.

    The generator of the CPU uses 32 of the 63 bits of the hash, that of CUDA all of them; the two
    draw different numbers.

    Args:
        seed: Seed of the noise.
        sample: Id of the sample.
        device: Device of the generator.
    """
    digest = hashlib.sha256(f"noise/{seed}/{sample}".encode()).digest()
    generator = Generator(device)
    generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return generator
