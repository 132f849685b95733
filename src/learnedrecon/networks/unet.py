"""U-Nets for images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks._checks import check_images

if TYPE_CHECKING:
    from collections.abc import Sequence

Down: TypeAlias = Literal["max_pool", "strided"]
Up: TypeAlias = Literal["transposed", "bilinear"]

_CONV: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {
    1: nn.Conv1d,
    2: nn.Conv2d,
    3: nn.Conv3d,
}
_TRANSPOSED: dict[int, type[nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d]] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
_POOL: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_LAYERS = (*_CONV.values(), *_TRANSPOSED.values())


@dataclass(frozen=True)
class UNetSpec:
    """The configuration of a :class:`UNet`.

    Attributes:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        base: Number of channels at full resolution; it doubles with each halving of the image.
        depth: Number of halvings.
        groups: Number of groups of the normalisation after each 3×3 convolution; 0 for no
            normalisation.
        resampling: Downsampling, "max_pool" or "strided" (a 2×2 convolution of stride 2), and
            upsampling, "transposed" (a 2×2 transposed convolution of stride 2) or "bilinear"
            (followed by a 3×3 convolution).
        residual: True for ``u + Γ(u)`` with zero initial weights in the last layer: an untrained
            network is then the identity.
        dims: Number of space axes, 1 to 3.

    Raises:
        ConfigError: A field is out of range, or fields do not fit each other.
    """

    in_channels: int = 1
    out_channels: int = 1
    base: int = 32
    depth: int = 4
    groups: int = 8
    resampling: tuple[Down, Up] = ("max_pool", "transposed")
    residual: bool = True
    dims: int = 2

    def __post_init__(self) -> None:
        _require(
            min(self.in_channels, self.out_channels, self.base, self.depth) >= 1,
            expected="in_channels, out_channels, base and depth of at least 1",
            found=f"{self.in_channels}, {self.out_channels}, {self.base} and {self.depth}",
        )
        _require(
            self.dims in _CONV,
            expected="dims of 1, 2 or 3",
            found=f"dims={self.dims}",
        )
        _require(
            self.groups >= 0 and (self.groups == 0 or self.base % self.groups == 0),
            expected="groups to be 0 or a divisor of base",
            found=f"groups={self.groups} and base={self.base}",
        )
        _require(
            len(self.resampling) == 2
            and self.resampling[0] in {"max_pool", "strided"}
            and self.resampling[1] in {"transposed", "bilinear"},
            expected="resampling ('max_pool' or 'strided', 'transposed' or 'bilinear')",
            found=f"resampling={self.resampling}",
        )
        _require(
            not self.residual or self.in_channels == self.out_channels,
            expected="as many out_channels as in_channels, as residual=True adds input to output",
            found=f"in_channels={self.in_channels} and out_channels={self.out_channels}",
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """The numbers of channels at each resolution, from the finest on."""
        return tuple(self.base * 2**level for level in range(self.depth + 1))


class UNet(nn.Module):
    """The U-Net of Ronneberger et al. (2015), as used after FBP by Jin et al. (2017).

    Two 3×3 convolutions with zero padding and ReLU at each resolution, skip connections by
    concatenation, a 1×1 convolution at the end. The network maps (batch, in_channels, *space) to
    (batch, out_channels, *space) for every size: the image is extended by its border values to
    multiples of 2^depth, evenly on both sides, and the result is cropped.

    Normalisation is by groups, not by batches: a result of BatchNorm depends on the other images of
    the batch and on the training mode, and BatchNorm changes its buffers in the forward pass, so
    that recomputation (checkpointing, reversible steps) would change the result. Here the result of
    an image depends only on the weights and that image.

    Weights are drawn by He et al. (2015), normal, from torch's default generator; biases are zero.
    Contiguous and ``channels_last`` inputs give the same numbers up to rounding; for speed on a GPU
    convert both, ``net.to(memory_format=torch.channels_last)`` and the input.

    Args:
        spec: Configuration of the layers.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths, (down, up) = spec.widths, spec.resampling
        finer, coarser = widths[:-1], widths[1:]
        inputs = (spec.in_channels, *finer)
        self.encoder = nn.ModuleList(
            _double_conv(a, b, spec) for a, b in zip(inputs, widths, strict=True)
        )
        self.down = nn.ModuleList(_down(width, down, spec.dims) for width in finer)
        ends = zip(finer, coarser, strict=True)
        self.up = nn.ModuleList(_up(b, a, up, spec.dims) for a, b in ends)
        self.decoder = nn.ModuleList(_double_conv(2 * a, a, spec) for a in finer)
        self.head = _CONV[spec.dims](spec.base, spec.out_channels, kernel_size=1)
        self._initialise()

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Applies the network.

        Raises:
            ShapeError: ``u`` is not (batch, in_channels, *space).
            DtypeError: ``u`` is not real floating point.
        """
        check_images(u, channels=self.spec.in_channels, dims=self.spec.dims, name="UNet")
        space = u.shape[2:]
        margins = [_margins(n, 2**self.spec.depth) for n in space]
        padding = [width for pair in reversed(margins) for width in pair]
        v = self._padded(functional.pad(u, padding, mode="replicate"))
        for axis, (before, _) in enumerate(margins):
            v = v.narrow(axis + 2, before, space[axis])
        return u + v if self.spec.residual else v

    def _padded(self, v: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for encode, down in zip(self.encoder[:-1], self.down, strict=True):
            skips.append(encode(v))
            v = down(skips[-1])
        v = self.encoder[-1](v)
        for up, decode in zip(reversed(self.up), reversed(self.decoder), strict=True):
            v = decode(torch.cat((skips.pop(), up(v)), dim=1))
        return self.head(v)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, _LAYERS):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.spec.residual:
            nn.init.zeros_(self.head.weight)


def _double_conv(c_in: int, c_out: int, spec: UNetSpec) -> nn.Sequential:
    return nn.Sequential(*_conv(c_in, c_out, spec), *_conv(c_out, c_out, spec))


def _conv(c_in: int, c_out: int, spec: UNetSpec) -> Sequence[nn.Module]:
    convolution = _CONV[spec.dims](c_in, c_out, kernel_size=3, padding=1)
    if spec.groups == 0:
        return convolution, nn.ReLU()
    return convolution, nn.GroupNorm(spec.groups, c_out), nn.ReLU()


def _down(channels: int, kind: Down, dims: int) -> nn.Module:
    if kind == "max_pool":
        return _POOL[dims](2)
    return _CONV[dims](channels, channels, kernel_size=2, stride=2)


def _up(c_in: int, c_out: int, kind: Up, dims: int) -> nn.Module:
    if kind == "transposed":
        return _TRANSPOSED[dims](c_in, c_out, kernel_size=2, stride=2)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode=_LINEAR[dims], align_corners=False),
        _CONV[dims](c_in, c_out, kernel_size=3, padding=1),
    )


def _margins(size: int, multiple: int) -> tuple[int, int]:
    missing = -size % multiple
    return missing // 2, missing - missing // 2


def _require(condition: object, *, expected: str, found: str) -> None:
    if not condition:
        raise ConfigError(describe(expected=expected, found=found, fix="correct the UNetSpec"))
