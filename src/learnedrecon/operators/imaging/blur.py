"""Blur: convolution with a kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from learnedrecon.compiling import real_of
from learnedrecon.errors import DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.autograd import apply_kernel, apply_kernel_adjoint, needs_rule
from learnedrecon.operators.fields import count, image_shape, require_kind, store
from learnedrecon.operators.imaging.boundary import Boundary
from learnedrecon.operators.imaging.convolution import Convolution, Plan
from learnedrecon.operators.imaging.point_spread import Kernel, plain_kernel, weights_of
from learnedrecon.operators.leading import Norm, per_sample, require_leading
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.norm import lanczos_norm, require_settled
from learnedrecon.operators.space import Space, require_tensor
from learnedrecon.operators.versions import changed, version_of

if TYPE_CHECKING:
    import numpy as np

# Kernels with at most so many entries are convolved directly: measured on images of 256².
_DIRECT = {torch.float32: 81, torch.float64: 9}


@dataclass(frozen=True)
class PointSpread:
    """The configuration of a :class:`Blur`.

    Attributes:
        shape: Shape of the image, of 1, 2 or 3 axes (more where the method is "fft").
        kernel: A :class:`Gaussian`, a :class:`Box`, or the numbers of k, of any size, as nested
            sequences, an array or a tensor. It is not normalised.
        boundary: Extension of the image beyond its border, as in :data:`Boundary`; or "valid", for
            only those pixels that need no extension.
        centre: Entry c of the kernel that is placed on a pixel; size // 2 along every axis unless
            given. It has no effect where the boundary is "valid".
        method: "direct" or "fft", which give the same result to rounding; "auto" chooses by the
            size of k.

    Raises:
        GeometryError: The kernel is not one, or does not fit the image.
    """

    shape: tuple[int, ...]
    kernel: Kernel
    boundary: Boundary | Literal["valid"] = "circular"
    centre: tuple[int, ...] | None = None
    method: Literal["auto", "direct", "fft"] = "auto"

    def __post_init__(self) -> None:
        store(self, "shape", image_shape)
        store(self, "kernel", plain_kernel)
        if self.centre is not None:
            store(self, "centre", lambda centre: tuple(map(count, centre)))
        self._require_axes()

    def weights(self) -> np.ndarray:
        """The kernel as an array."""
        return weights_of(self.kernel, len(self.shape))

    def plan(self, dtype: torch.dtype) -> Plan:
        """The plan of the convolution of images of this precision."""
        sizes = self.weights().shape
        direct = self.method == "direct"
        if self.method == "auto":
            direct = len(sizes) <= 3 and math.prod(sizes) <= _DIRECT[real_of(dtype)]
        centre = self.centre or tuple(size // 2 for size in sizes)
        boundary = None if self.boundary == "valid" else self.boundary
        return Plan(self.shape, sizes, centre, boundary, by_fft=not direct)

    def _require_axes(self) -> None:
        sizes = self.weights().shape
        fits = len(sizes) == len(self.shape)
        if fits and self.boundary == "valid":
            fits = all(k <= n for k, n in zip(sizes, self.shape, strict=True))
        if fits and self.centre is not None:
            fits = len(self.centre) == len(sizes)
            fits = fits and all(0 <= c < k for c, k in zip(self.centre, sizes, strict=True))
        if not fits or (self.method == "direct" and len(sizes) > 3):
            raise GeometryError(
                describe(
                    expected="a kernel with the axes of the image, no larger than it where the "
                    "boundary is valid, with its centre inside, and at most 3 axes if direct",
                    found=f"a kernel of shape {sizes} with centre {self.centre}, boundary "
                    f"'{self.boundary}' and method '{self.method}' for images {self.shape}",
                    fix="check the axes of kernel, centre and image",
                )
            )


class Blur(LinearOperator):
    """Blur T u = k * u, y_i = Σ_j k_j u_{i + c - j}, as scipy.ndimage.convolve.

    The adjoint adds the entries beyond the border to the pixels that they were copied from; it is
    exact for every boundary. Kernels of a few pixels are convolved directly, larger ones by Fourier
    transforms.

    Args:
        spread: Kernel, boundary and shape of the image.
        dtype: float32 or float64, or complex, the dtype of elements that the spaces create. The
            operator itself works in the precision of its argument.

    Attributes:
        spread: Configuration as given; ``spec`` is None where a tensor replaced its kernel.
        kernel: Kernel k, (*kernel), or with the leading axes of the images; T and T* are
            differentiable in it any number of times where it requires gradients.

    Raises:
        GeometryError: Not a :class:`PointSpread`.

    Shapes: (..., *shape) to (..., *shape), or (..., *(shape - kernel + 1)) where valid.
    """

    precise = ("kernel",)
    tensor_names = frozenset({"kernel"})
    spec: PointSpread | None
    kernel: Tensor

    def __init__(self, spread: PointSpread, dtype: torch.dtype = torch.float32) -> None:
        require_kind(spread, PointSpread, "Blur(PointSpread(shape, kernel))")
        self._set(spread, torch.tensor(spread.weights(), dtype=torch.float64), dtype)
        self.spec = spread

    def _set(self, spread: PointSpread, kernel: Tensor, dtype: torch.dtype) -> None:
        plan = spread.plan(dtype)
        super().__init__(Space(plan.shape, dtype), Space(plan.result, dtype))
        self.spread = spread
        self.spec = None
        self.register_buffer("kernel", kernel, persistent=False)
        self.refresh()

    def refresh(self) -> None:
        """Preparation of the kernel in the operator's own precision."""
        self._is_constant = _is_constant(self.kernel)
        self._version = version_of(self.kernel)
        self._prepared = Convolution(self.spread.plan(self.domain.dtype), self.kernel)
        if self._is_constant:
            with torch.inference_mode(mode=False), torch.no_grad():
                self._prepared = self._prepared.prepared(self.domain.dtype)

    @property
    def _convolution(self) -> Convolution:
        """The prepared kernel, prepared again where it was changed in place."""
        if changed(self.kernel, self._version):
            self.refresh()
        return self._prepared

    def with_tensors(self, tensors: dict[str, Tensor]) -> Blur:
        """The blur with a kernel per sample, or with one that requires gradients.

        Args:
            tensors: "kernel" (*lead, *kernel) of the shape of the spec's kernel, real, or complex
                for complex images; the leading axes are those of the images, or 1.

        Raises:
            GeometryError: Another name.
            ShapeError: The kernel has another size, or no channel axis.
            DtypeError: The kernel is not a tensor of floats, or is complex for real images.
        """
        if not tensors:
            return self
        if set(tensors) != {"kernel"}:
            super().with_tensors({k: t for k, t in tensors.items() if k != "kernel"})
        kernel = tensors["kernel"]
        _require_kernel(kernel, self._convolution.plan.kernel, self.domain)
        twin = Blur.__new__(Blur)
        twin._set(self.spread, kernel.to(self.kernel.device), self.domain.dtype)  # noqa: SLF001 - of this class
        return twin

    def evaluate(self, u: Tensor) -> Tensor:
        if self._has_rule(u):
            return apply_kernel(self._convolution, u)
        return self._convolution.forward(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        if self._has_rule(v):
            return apply_kernel_adjoint(self._convolution, v)
        return self._convolution.adjoint(v)

    def _has_rule(self, x: Tensor) -> bool:
        """True if to differentiate by T*; valid convolutions of many images need no help."""
        plan = self._convolution.plan
        plain = plan.boundary is None and not plan.by_fft and x.numel() >= 2 * self.domain.size
        constant = self._is_constant and not self.kernel.requires_grad
        return constant and not plain and needs_rule(x)

    def normal_inverse(self, b: Tensor, weight: Tensor | float) -> Tensor | None:
        """(T*T + λ)⁻¹ b by Fourier transforms where the boundary is circular, otherwise None.

        Args:
            b: Right side, (..., *shape).
            weight: λ > 0, a number or (batch, 1, ...).
        """
        if self.spread.boundary != "circular":
            return None
        b = self.domain.check(b, "an image")
        plan = self._convolution.plan
        symbol = self._convolution.transfer(b).abs() ** 2 + weight
        if b.is_complex():
            return torch.fft.ifftn(torch.fft.fftn(b, dim=plan.axes) / symbol, dim=plan.axes)
        spectrum = torch.fft.rfftn(b, dim=plan.axes) / symbol
        return torch.fft.irfftn(spectrum, s=plan.shape, dim=plan.axes)

    def normal_multiplier(self, like: Tensor) -> Tensor | None:
        """|k̂|² where the boundary is circular, otherwise None."""
        if self.spread.boundary != "circular":
            return None
        kernel = self.kernel.to(like.dtype if self.kernel.is_complex() else real_of(like.dtype))
        return self._convolution.plan.transfer(kernel.to(like.device), half=False).abs().square()

    @torch.no_grad()
    def compute_norm(self) -> Norm:
        """The largest |transfer function| where the boundary is circular, otherwise by Lanczos."""
        plan = self._convolution.plan
        if plan.boundary == "circular":
            wide = torch.complex128 if self.kernel.is_complex() else torch.float64
            transfer = plan.transfer(self.kernel.to(wide), half=False)
            return per_sample(transfer.abs(), self.domain.ndim)
        return require_settled(lanczos_norm(self), "a blur")

    def norm_bound(self) -> Norm | None:
        """The largest |transfer function| · (1 + 1e-6) where the boundary is circular, or None.

        The factor covers the rounding of transfer functions in single precision.
        """
        return (1 + 1e-6) * self.compute_norm() if self.spread.boundary == "circular" else None

    def extra_repr(self) -> str:
        sizes = " x ".join(map(str, self._convolution.plan.kernel))
        return f"{self.spread.shape}, {sizes}, boundary='{self.spread.boundary}'"


def _is_constant(kernel: Tensor) -> bool:
    """True if no transform and no derivative looks at the kernel."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(kernel)  # noqa: SLF001 - torch has no public name
    return not (
        kernel.requires_grad or wrapped or forward_ad.unpack_dual(kernel).tangent is not None
    )


def _require_kernel(kernel: Tensor, sizes: tuple[int, ...], domain: Space) -> None:
    require_tensor(kernel, "a kernel")
    if tuple(kernel.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            describe(
                expected=f"a kernel with last axes {sizes}, as in the spec",
                found=f"shape {tuple(kernel.shape)}",
                fix="give it the leading axes of the images and the spec's size",
            )
        )
    require_leading(kernel, len(sizes), "kernel")
    if not (kernel.is_floating_point() or (kernel.is_complex() and domain.is_complex)):
        raise DtypeError(
            describe(
                expected="a kernel of floats, complex only for complex images",
                found=str(kernel.dtype),
                fix="convert it, for example with .float()",
            )
        )
