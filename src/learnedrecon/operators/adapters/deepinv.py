"""Adapters of deepinv's physics, in both directions."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learnedrecon.errors import GeometryError, ShapeError, describe, load_extra
from learnedrecon.operators.adapters.checks import device_of, probe, require_instance
from learnedrecon.operators.adapters.foreign import Foreign
from learnedrecon.operators.adapters.real_parts import join, split
from learnedrecon.operators.base import Operator
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.adapters.checks import Theirs


def from_deepinv(
    physics: object,
    image_shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    *,
    approximate_adjoint: bool = False,
) -> Operator:
    """A deepinv ``Physics`` as an operator; a ``LinearPhysics`` as a linear one.

    Only ``A``, ``A_adjoint`` and ``A_vjp`` are used: noise and sensor models are not part of T. The
    physics becomes a submodule, so it moves with the operator. Gradients in tensors of the physics
    (a blind kernel) flow if they require them when T is applied; autograd then differentiates
    deepinv's own code.

    Args:
        physics: Physics whose measurements are one tensor.
        image_shape: Shape (channels, *space) of one image, as in deepinv. A single channel becomes
            the channel axis of our batches, so that the domain is (*space); several are part of the
            domain.
        dtype: Dtype of the images.
        approximate_adjoint: True to accept an ``A_adjoint`` that is not the adjoint, such as that
            of ``Tomography(adjoint_via_backprop=False)``.

    Raises:
        MissingExtraError: The package deepinv is not installed.
        DtypeError: The object is not a physics.
        PropertyError: A* is not adjoint to A, and this was not accepted.
        ShapeError: The physics cannot be applied to images of this shape.
        GeometryError: The measurements are a list of tensors.
    """
    deepinv_physics = load_extra("deepinv.physics", "deepinv")
    require_instance(
        physics,
        deepinv_physics.Physics,
        "a deepinv Physics",
        "build one, such as deepinv.physics.Blur(filter=...)",
    )
    assert isinstance(physics, nn.Module)
    linear = isinstance(physics, deepinv_physics.LinearPhysics)
    domain = Space(_without_channel(image_shape), dtype)
    data = _first_data(physics, Space(image_shape, dtype))
    codomain = Space(_without_channel(tuple(data.shape[1:])), _kind(data, dtype))
    calls = _Calls(physics, tuple(image_shape), tuple(data.shape[1:]))
    if linear:
        operator = _Linear(calls, domain, codomain)
        if not approximate_adjoint:
            fix = (
                "build the physics with an exact adjoint, or accept it by approximate_adjoint=True"
            )
            probe(operator, f"a deepinv physics ({type(physics).__name__})", fix)
        return operator
    return _Nonlinear(calls, domain, codomain)


def to_deepinv(operator: Operator) -> Theirs:
    """An operator as a deepinv ``LinearPhysics``, or ``Physics`` if it is not linear.

    Images are (batch, channel, *domain.shape) and data (batch, channel, *codomain.shape), as here.
    Complex elements are two channels, real and imaginary part, as in deepinv's MRI; A* is then the
    adjoint over the reals. There is no noise model until one is set.

    Args:
        operator: T, which becomes a submodule.

    Raises:
        MissingExtraError: The package deepinv is not installed.
        DtypeError: The object is not an operator of this library.
    """
    require_instance(operator, Operator, "an operator of learnedrecon", "hand over T itself")
    deepinv_physics = load_extra("deepinv.physics", "deepinv")
    if not isinstance(operator, LinearOperator):
        return deepinv_physics.Physics(A=_Apply(operator))
    return deepinv_physics.LinearPhysics(
        A=_Apply(operator),
        A_adjoint=_Apply(operator.H),
        img_size=(2 if operator.domain.is_complex else 1, *operator.domain.shape),
        device=device_of(operator),
    )


class _Calls(nn.Module):
    """The used functions of a physics, on (..., *shape), without a single channel.

    Also a kernel, whose tensors are not differentiated.
    """

    def __init__(
        self, physics: nn.Module, image_shape: tuple[int, ...], data_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.physics = physics
        self.image_shape = image_shape
        self.data_shape = data_shape

    def forward(self, u: Tensor) -> Tensor:
        """A(u)."""
        physics: Theirs = self.physics
        return self._through(physics.A, self.data_shape, (u, self.image_shape))

    def adjoint(self, v: Tensor) -> Tensor:
        """A*v."""
        physics: Theirs = self.physics
        return self._through(physics.A_adjoint, self.image_shape, (v, self.data_shape))

    def pull(self, u: Tensor, v: Tensor) -> Tensor:
        """A'(u)*v."""
        physics: Theirs = self.physics
        given = (u, self.image_shape), (v, self.data_shape)
        return self._through(physics.A_vjp, self.image_shape, *given)

    def are_differentiated(self) -> bool:
        """True if autograd has to go through deepinv's own code."""
        tensors = chain(self.physics.parameters(), self.physics.buffers())
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)

    def _through(
        self,
        function: Callable[..., Tensor],
        target: tuple[int, ...],
        *given: tuple[Tensor, tuple[int, ...]],
    ) -> Tensor:
        """A function of batches (batch, *shape), in the precision of the physics and back."""
        (first, shape), *_ = given
        own = first.dtype.to_real()
        inside = self._precision(own)
        batches = [_to_precision(x.reshape(-1, *shape), inside) for x, shape in given]
        values = _to_precision(function(*batches), own)
        leading = first.shape[: first.ndim - len(_without_channel(shape))]
        return values.reshape(*leading, *_without_channel(target))

    def _precision(self, of_argument: torch.dtype) -> torch.dtype:
        """The widest of the physics' own tensors; that of the argument where it has none."""
        tensors = chain(self.physics.named_parameters(), self.physics.named_buffers())
        kinds = {
            tensor.dtype.to_real()
            for name, tensor in tensors
            if (tensor.is_floating_point() or tensor.is_complex())
            and not name.endswith("_device_holder")
        }
        return max(kinds, key=lambda kind: kind.itemsize, default=of_argument)


class _Linear(Foreign):
    """A and A*."""

    kernel: _Calls

    def evaluate(self, u: Tensor) -> Tensor:
        return self.kernel(u) if self.kernel.are_differentiated() else super().evaluate(u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        if self.kernel.are_differentiated():
            return self.kernel.adjoint(v)
        return super().evaluate_adjoint(v)


class _Nonlinear(Operator):
    """A, with A'(u)* from ``A_vjp`` and A'(u) from forward-mode autograd."""

    def __init__(self, calls: _Calls, domain: Space, codomain: Space) -> None:
        super().__init__(domain, codomain)
        self.calls = calls

    def evaluate(self, u: Tensor) -> Tensor:
        return self.calls(u)

    def linearise(self, u: Tensor) -> tuple[Tensor, LinearOperator]:
        u = self.domain.check(u, "an image")
        return self(u), _Tangent(self, u)


class _Tangent(LinearOperator):
    """A'(u), one for every sample of u."""

    point: Tensor

    def __init__(self, operator: _Nonlinear, point: Tensor) -> None:
        super().__init__(operator.domain, operator.codomain)
        self.calls = operator.calls
        self.register_buffer("point", point, persistent=False)

    def evaluate(self, u: Tensor) -> Tensor:
        point, direction = torch.broadcast_tensors(self.point, u)
        return torch.func.jvp(self.calls, (point.contiguous(),), (direction.contiguous(),))[1]

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        leading = v.shape[: v.ndim - self.codomain.ndim]
        before = self.point.shape[: self.point.ndim - self.domain.ndim]
        common = torch.broadcast_shapes(leading, before)
        point = self.point.expand(*common, *self.domain.shape)
        return self.calls.pull(point, v.expand(*common, *self.codomain.shape))


class _Apply(nn.Module):
    """T for deepinv, which hands over modules and calls them."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        """T of (batch, channel, *shape), with two channels for complex numbers."""
        domain, codomain = self.operator.domain, self.operator.codomain
        return split(self.operator(join(x, domain)), codomain)


def _to_precision(x: Tensor, kind: torch.dtype) -> Tensor:
    return x.to(kind.to_complex() if x.is_complex() else kind)


def _without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[1:]) if len(shape) > 1 and shape[0] == 1 else tuple(shape)


def _kind(data: Tensor, dtype: torch.dtype) -> torch.dtype:
    real = dtype.to_real()
    return real.to_complex() if data.is_complex() else real


@torch.no_grad()
def _first_data(physics: Theirs, images: Space) -> Tensor:
    """The measurement of a seeded image."""
    device = next(
        (t.device for t in chain(physics.parameters(), physics.buffers())), torch.device("cpu")
    )
    image = images.random(torch.Generator().manual_seed(0), (1,)).to(device)
    try:
        data = physics.A(image)
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        raise ShapeError(
            describe(
                expected=f"a physics for images {images.shape} of {images.dtype}",
                found=f"{type(error).__name__}: {error!s:.200}",
                fix="give image_shape = (channels, *space) and dtype as the physics has them",
            )
        ) from error
    if not isinstance(data, Tensor):
        raise GeometryError(
            describe(
                expected="measurements that are one tensor",
                found=type(data).__name__,
                fix="wrap each of the stacked physics separately",
            )
        )
    if data.ndim < 2 or data.shape[0] != 1:
        raise ShapeError(
            describe(
                expected="measurements (batch, ...) with an axis after the batch",
                found=f"shape {tuple(data.shape)} for a batch of one",
                fix="use a physics that treats every sample independently",
            )
        )
    return data
