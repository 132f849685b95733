"""Convolution with a small kernel, directly or by Fourier transforms, and its transpose."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from learnedrecon.operators.imaging.boundary import Boundary, Margins, extend, fold, window

# Up to so many zeros around the image PyTorch convolves as fast as without; beyond, far slower.
_OWN_ZEROS = 6
_COMPLEX = {dtype: dtype.to_complex() for dtype in (torch.float32, torch.float64)}
_COMPLEX |= {dtype: dtype for dtype in _COMPLEX.values()}
_REAL = {dtype: dtype.to_real() for dtype in _COMPLEX}
_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class Plan:
    """The plan of a convolution: everything but the kernel's values.

    y_i = Σ_j k_j x_{i + c - j} with the centre c, and x extended beyond its border by the boundary
    rule; without a boundary, y_i = Σ_j k_j x_{i + size - 1 - j}, for all i where these x exist.

    Attributes:
        shape: Shape of the image.
        kernel: Shape of the kernel.
        centre: Index c of the kernel's centre.
        boundary: Rule of extension; None for the valid part only.
        by_fft: True if Fourier transforms are used.
        result: Shape of the result.
        margins: Extension of the image for a direct convolution, (before, after) per axis.
        period: Lengths of the Fourier transforms, long enough that the result does not wrap around.
    """

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    centre: tuple[int, ...]
    boundary: Boundary | None
    by_fft: bool
    result: tuple[int, ...] = field(init=False)
    margins: Margins = field(init=False)
    period: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("result", "margins", "period"):  # each of the ones before
            object.__setattr__(self, name, getattr(self, f"_{name}")())

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the image."""
        return tuple(range(-len(self.shape), 0))

    def _result(self) -> tuple[int, ...]:
        if self.boundary is not None:
            return self.shape
        return tuple(n - k + 1 for n, k in zip(self.shape, self.kernel, strict=True))

    def _margins(self) -> Margins:
        if self.boundary is None:
            return [(0, 0)] * len(self.shape)
        return [(k - 1 - c, c) for k, c in zip(self.kernel, self.centre, strict=True)]

    @property
    def is_shifted(self) -> bool:
        """True if T and T* extend in the same way, so that nothing has to be folded back."""
        return self.boundary in ("circular", "zero")

    def _period(self) -> tuple[int, ...]:
        if self.boundary == "circular":
            return self.shape
        sizes = zip(self.shape, self.margins, strict=True)
        if self.boundary == "zero":
            return tuple(good_length(n + max(pair)) for n, pair in sizes)
        return tuple(good_length(n + sum(pair)) for n, pair in sizes)

    def transfer(self, kernel: Tensor, *, half: bool) -> Tensor:
        """The Fourier transform of the kernel over one period, with its origin at 0.

        Args:
            kernel: Kernel k, (..., *kernel).
            half: True for the half that determines the rest, for real kernels and images.
        """
        origin = self.centre if self.is_shifted else [k - 1 for k in self.kernel]
        for axis, n in zip(self.axes, self.period, strict=True):
            kernel = _wrapped(kernel, axis, n)
        kernel = kernel.roll([-place for place in origin], self.axes)
        transform = torch.fft.rfftn if half else torch.fft.fftn
        return transform(kernel, dim=self.axes)


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution plan with its kernel: a pair (T, T*), batched over every leading axis.

    Attributes:
        plan: Plan of the convolution.
        kernel: Kernel (*lead, *plan.kernel); the leading axes are those of the images, or 1.
        known: Transfer function, or both weights, in one precision, computed once.
    """

    plan: Plan
    kernel: Tensor
    known: Tensor | None = None

    def prepared(self, dtype: torch.dtype) -> Convolution:
        """The same convolution with everything precomputed for tensors of ``dtype``."""
        like = torch.empty(0, dtype=dtype, device=self.kernel.device)
        known = self.transfer(like) if self.plan.by_fft else torch.stack(self.weights(like))
        return Convolution(self.plan, self.kernel, known)

    def forward(self, u: Tensor) -> Tensor:
        """T u."""
        plan = self.plan
        if plan.by_fft:
            if not plan.is_shifted and plan.boundary is not None:
                u = extend(u, plan.margins, plan.boundary)
            return self._filtered(u, plan.result, conjugate=False)
        return _within(u, self.weights(u)[0], plan.margins, plan.boundary)

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v."""
        plan = self.plan
        if plan.by_fft:
            wide = self._filtered(v, self._extended(), conjugate=True)
        else:
            ends: Margins = [(k - 1, k - 1) for k in plan.kernel]
            if plan.is_shifted:
                ends = [(after, before) for before, after in plan.margins]
            boundary: Boundary = "circular" if plan.boundary == "circular" else "zero"
            wide = _within(v, self.weights(v)[1], ends, boundary)
        if plan.is_shifted or plan.boundary is None:
            return wide
        return fold(wide, plan.margins, plan.boundary)

    def transfer(self, like: Tensor) -> Tensor:
        """The transfer function in the dtype and on the device of ``like``."""
        dtype = _COMPLEX[like.dtype]
        if self.known is not None and self.known.dtype == dtype:
            return self.known
        return self.plan.transfer(self.kernel, half=not like.is_complex()).to(dtype)

    def _filtered(self, x: Tensor, shape: tuple[int, ...], *, conjugate: bool) -> Tensor:
        """The first entries of the circular convolution over one period."""
        plan, transfer = self.plan, self.transfer(x)
        transfer = transfer.conj() if conjugate else transfer
        if x.is_complex():
            spectrum = torch.fft.fftn(x, s=plan.period, dim=plan.axes)
            y = torch.fft.ifftn(spectrum * transfer, s=plan.period, dim=plan.axes)
        else:
            spectrum = torch.fft.rfftn(x, s=plan.period, dim=plan.axes)
            y = torch.fft.irfftn(spectrum * transfer, s=plan.period, dim=plan.axes)
        if shape == plan.period:
            return y
        return window(y, map(slice, shape)).contiguous()

    def _extended(self) -> tuple[int, ...]:
        if self.plan.is_shifted:
            return self.plan.shape
        sizes = zip(self.plan.shape, self.plan.margins, strict=True)
        return tuple(n + sum(pair) for n, pair in sizes)

    def weights(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The correlation kernels of T and of T*, in the dtype and on the device of ``like``."""
        dtype = _COMPLEX[like.dtype] if self.kernel.is_complex() else _REAL[like.dtype]
        if self.known is not None and self.known.dtype == dtype:
            forward, adjoint = self.known.unbind()
            return forward, adjoint
        kernel = self.kernel.to(dtype)
        return kernel.flip(self.plan.axes), kernel.conj()


def _within(x: Tensor, weight: Tensor, margins: Margins, boundary: Boundary | None) -> Tensor:
    """The correlation of an extended image."""
    if boundary == "zero" and all(a == b <= _OWN_ZEROS for a, b in margins):
        return correlate(x, weight, [before for before, _ in margins])
    if boundary is not None:
        x = extend(x, margins, boundary)
    return correlate(x, weight, [0] * len(margins))


def correlate(x: Tensor, weight: Tensor, zeros: list[int]) -> Tensor:
    """Correlation y_i = Σ_j w_j x_{i + j} over the last axes, at most three.

    Every image becomes a channel: the depthwise convolutions of PyTorch are several times as fast
    on the CPU as those of a batch with one channel.

    Args:
        x: Images (..., *shape), real or complex.
        weight: Kernels (..., *kernel), whose leading axes broadcast with those of x; complex only
            where x is complex.
        zeros: Number of zeros on both sides of the image along each axis.
    """
    if weight.is_complex():
        real, imaginary = correlate(x, weight.real, zeros), correlate(x, weight.imag, zeros)
        return real + 1j * imaginary
    if x.is_complex():
        x = x[(None,) * max(weight.ndim - x.ndim, 0)]  # parts in front of every leading axis
        parts = correlate(torch.stack((x.real, x.imag)), weight, zeros)
        return torch.complex(parts[0], parts[1])
    d = len(zeros)
    if weight.ndim == d:
        lead = x.shape[:-d]
    else:
        lead = torch.broadcast_shapes(x.shape[:-d], weight.shape[:-d])
        x, weight = x.expand(*lead, *x.shape[-d:]), weight.expand(*lead, *weight.shape[-d:])
        weight = weight.reshape(-1, 1, *weight.shape[-d:])
    number = lead.numel()
    weights = weight.expand(number, 1, *weight.shape[-d:])
    weights = weights.contiguous()  # expanded ones are several times as slow
    images = x.reshape(number, *x.shape[-d:])
    y = _CONV[d](images, weights, padding=zeros, groups=number)
    return y.view(*lead, *y.shape[1:])


def good_length(n: int) -> int:
    """The smallest length ≥ n whose prime factors are all in {2, 3, 5, 7}.

    Args:
        n: Least length.
    """
    while True:
        rest = n
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _wrapped(kernel: Tensor, axis: int, n: int) -> Tensor:
    """The kernel on a circle of n entries."""
    size = kernel.shape[axis]
    extra = -size % n
    kernel = functional.pad(kernel, [0, 0] * (-1 - axis) + [0, extra])
    if size <= n:
        return kernel
    return kernel.unflatten(axis, (-1, n)).sum(axis - 1)
