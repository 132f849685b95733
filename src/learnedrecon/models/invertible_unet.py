"""Invertible U-Nets: networks whose memory does not grow with their depth."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, ShapeError, describe
from learnedrecon.networks._checks import check_images
from learnedrecon.networks.conv import ConvNet, ConvSpec
from learnedrecon.networks.orthogonal import OrthogonalDownsampling
from learnedrecon.schemes.invertible import InvertibleStep
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.units import Coupling, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.backward import Backward

State: TypeAlias = Any
"""A named tuple of images, one for every scale."""


@dataclass(frozen=True)
class InvertibleUNetSpec:
    """The configuration of an :class:`InvertibleUNet`.

    Attributes:
        channels: Number of channels of input and output, even.
        levels: Number of halvings of the resolution.
        blocks: Number of pairs of couplings at every level, on the way down and again on the way
            up.
        hidden: Number of channels of the hidden layer of a coupling at the finest level; twice as
            many at every coarser one.
        dims: Number of space axes, 1 to 3.
        kernel: Odd width of every kernel.

    Raises:
        ConfigError: A field is out of range.
    """

    channels: int = 2
    levels: int = 3
    blocks: int = 1
    hidden: int = 16
    dims: int = 2
    kernel: int = 3

    def __post_init__(self) -> None:
        sound = (
            self.channels >= 2
            and self.channels % 2 == 0
            and self.levels >= 1
            and min(self.blocks, self.hidden) >= 1
            and self.dims in {1, 2, 3}
        )
        if not sound:
            raise ConfigError(
                describe(
                    expected="an even number of channels, levels, blocks and hidden channels of at "
                    "least 1, and 1 to 3 dimensions",
                    found=str(self),
                    fix="correct the specification; one image can be repeated to two channels",
                )
            )
        self.coupling(0)

    def half(self, level: int) -> int:
        """The number of channels of each half at a level."""
        return self.channels // 2 * 2 ** (level * (self.dims - 1))

    def coupling(self, level: int) -> ConvSpec:
        """The network of a coupling at a level."""
        half = self.half(level)
        return ConvSpec(
            (half, self.hidden * 2**level, half),
            kernel=(self.kernel,) * self.dims,
            activation="leaky_relu",
            slope=0.1,
            last_scale=0.1,
        )


class InvertibleUNet(nn.Module):
    """Additive couplings at every scale between orthogonal resamplings: an invertible network Γ.

    Etmann, Ke, Schönlieb, iUNets: Learnable invertible up- and downsampling for large-scale inverse
    problems, IEEE MLSP 2020. The channels are two halves a, b. At every level additive couplings
    change them alternately; then :class:`OrthogonalDownsampling` takes b to the next coarser level,
    where its channels are split again, while a stays; the way up inverts this. The state has the
    size of the input at every depth, and with :class:`Reversible` only the last one is stored.

    Differences from the paper: halves in place of other splits, two-layer couplings without
    normalisation, the Haar transform as the initial resampling.

    Args:
        spec: Configuration of the layers.
        backward: Differentiation of the composition; :class:`Reversible` unless given. Within a
            scheme that is itself Reversible, :class:`Backprop` saves memory.

    Shapes: (batch, channels, *space) to the same; every size is a multiple of 2^levels.
    """

    def __init__(self, spec: InvertibleUNetSpec, backward: Backward | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.scales = _Scales(spec)
        self.backward_mode = Reversible() if backward is None else backward
        self.backward_mode.check([self.scales])

    def forward(self, u: Tensor) -> Tensor:
        """The network Γ(u).

        Raises:
            ShapeError: ``u`` is not (batch, channels, *space), or a size is not a multiple of
                2^levels.
            DtypeError: ``u`` is not real floating point.
        """
        start = self._split(u)
        return _joined(self.backward_mode.run([self.scales], start, _NO_PROBLEM))

    def inverse(self, v: Tensor) -> Tensor:
        """The inverse Γ⁻¹(v), with the errors of Γ."""
        return _joined(self.scales.inverse(self._split(v), _NO_PROBLEM))

    def _split(self, u: Tensor) -> State:
        spec = self.spec
        check_images(u, channels=spec.channels, dims=spec.dims, name="InvertibleUNet")
        multiple = 2**spec.levels
        if any(size % multiple for size in u.shape[2:]):
            raise ShapeError(
                describe(
                    expected=f"for {spec.levels} levels sizes that are multiples of {multiple}",
                    found=f"shape {tuple(u.shape)}",
                    fix="pad the image outside, or use fewer levels",
                )
            )
        empty = [u.new_empty(len(u), 0) for _ in range(2 * spec.levels)]
        return _state_type(spec.levels)(*u.chunk(2, dim=1), *empty)


_NO_PROBLEM: Any = None


def _joined(state: State) -> Tensor:
    return torch.cat(state[:2], dim=1)


@cache
def _state_type(levels: int) -> Any:  # noqa: ANN401 - a type made here
    """A NamedTuple with the two halves of every level; those not in use have no channels."""
    names = [name for level in range(levels + 1) for name in _names(level)]
    return namedtuple("ScalesState", names)  # noqa: PYI024 - its fields are as many as levels


def _names(level: int) -> tuple[str, str]:
    return f"kept_{level}", f"passed_{level}"


class _Scales(InvertibleStep[Any]):
    """The layers of the network, on the halves of all levels; needs no problem."""

    def __init__(self, spec: InvertibleUNetSpec) -> None:
        super().__init__()
        levels = range(spec.levels + 1)
        self.down, self.up = (
            nn.ModuleList(_couplings(spec, level) for level in levels) for _ in range(2)
        )
        self.resamplings = nn.ModuleList(
            OrthogonalDownsampling(spec.half(level), spec.dims) for level in levels[:-1]
        )

    def units(self) -> Sequence[Unit[Any]]:
        units: list[Unit[Any]] = []
        for level, resampling in enumerate(self.resamplings):
            units += [*_pairs(self.down[level], level), _Descent(resampling, level)]
        units += [unit for way in (self.down, self.up) for unit in _pairs(way[-1], len(way) - 1)]
        for level in reversed(range(len(self.resamplings))):
            units += [_Ascent(self.resamplings[level], level), *_pairs(self.up[level], level)]
        return units

    def forward(self, state: State, problem: Problem) -> State:
        for unit in self.units():
            state = unit.forward(state, problem)
        return state

    def inverse(self, state: State, problem: Problem) -> State:
        for unit in reversed(self.units()):
            state = unit.inverse(state, problem)
        return state


def _couplings(spec: InvertibleUNetSpec, level: int) -> nn.ModuleList:
    return nn.ModuleList(ConvNet(spec.coupling(level)) for _ in range(2 * spec.blocks))


def _pairs(networks: Any, level: int) -> list[Unit[Any]]:  # noqa: ANN401 - a ModuleList of module lists
    names = _names(level)
    return [
        Coupling(names[k % 2], _seeing(network, names[1 - k % 2]))
        for k, network in enumerate(networks)
    ]


def _seeing(network: nn.Module, field: str) -> Callable[[Any, Problem], Tensor]:
    return lambda state, _: network(getattr(state, field))


@dataclass(frozen=True)
class _Descent(Unit[Any]):
    """The second half of a level becomes both halves of the next coarser one.

    Attributes:
        resampling: K.
        level: the finer one.
    """

    resampling: Any
    level: int

    def changes(self, field: str) -> bool:
        return field in {_names(self.level)[1], *_names(self.level + 1)}

    def forward(self, state: State, problem: Problem) -> State:  # noqa: ARG002 - of every step
        fine, coarse = _names(self.level)[1], _names(self.level + 1)
        passed = getattr(state, fine)
        halves = self.resampling(passed).chunk(2, dim=1)
        empty = passed.new_empty(len(passed), 0)
        return state._replace(**{fine: empty}, **dict(zip(coarse, halves, strict=True)))

    def inverse(self, state: State, problem: Problem) -> State:  # noqa: ARG002 - of every step
        fine, coarse = _names(self.level)[1], _names(self.level + 1)
        halves = [getattr(state, name) for name in coarse]
        empty = halves[0].new_empty(len(halves[0]), 0)
        passed = self.resampling.adjoint(torch.cat(halves, dim=1))
        return state._replace(**{fine: passed}, **dict.fromkeys(coarse, empty))


@dataclass(frozen=True)
class _Ascent(_Descent):
    """The inverse of a descent."""

    def forward(self, state: State, problem: Problem) -> State:
        return super().inverse(state, problem)

    def inverse(self, state: State, problem: Problem) -> State:
        return super().forward(state, problem)
