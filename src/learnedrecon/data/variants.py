"""Common changes of images and data, and factors between them, for each kind of operator.

``@variants.register(MyOperator)`` adds a rule for your own operator, and ``@units.register`` the
common wrong factors of its data or images.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import torch
from torch import Tensor

from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.ray.arranged import ArrangedTransform
from learnedrecon.operators.ray.geometry2d import AngleRange, Beam
from learnedrecon.operators.ray.geometry3d import ConeBeam, ParallelBeam3D
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transform3d import RayTransform3D
from learnedrecon.operators.ray.transmission import TransmissionCT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from learnedrecon.operators.base import Operator

Spec = TypeVar("Spec")

_STORE: Final = "store the data so"
_LEAST: Final = 1e-6
_AIR: Final = 0.98
_MOST: Final = 1 << 20

_LENGTHS: Final = {
    10.0: "images in 1/cm where 1/mm are meant, or lengths in mm where cm are",
    0.1: "images in 1/mm where 1/cm are meant, or lengths in cm where mm are",
    1000.0: "images in 1/m where 1/mm are meant, or lengths in mm where m are",
    0.001: "images in 1/mm where 1/m are meant, or lengths in m where mm are",
}


def unchanged(values: Tensor) -> Tensor:
    """The identity.

    Args:
        values: Any tensor.
    """
    return values


class Variant(NamedTuple):
    """A change of data, of images, or of the description of a scan.

    Attributes:
        name: Description of the changed data, such as "complex conjugated".
        data: Function from the data to the changed data.
        image: Function from the image to the changed image.
        operator: Function that makes an operator in place of T; None keeps T.
        fix: Instruction for the user with such data.
    """

    name: str
    data: Callable[[Tensor], Tensor] = unchanged
    image: Callable[[Tensor], Tensor] = unchanged
    operator: Callable[[], Operator] | None = None
    fix: str = _STORE

    @property
    def measures(self) -> bool:
        """True if its misfit needs an application of an operator."""
        return self.operator is not None or self.image is not unchanged


AS_THEY_ARE: Final = Variant("as they are")


@singledispatch
def variants(operator: Operator) -> Iterator[Variant]:
    """Common changes of the data of an operator; ``@variants.register`` adds others.

    Args:
        operator: T.
    """
    yield from turned_data(operator)
    yield from turned_images(operator)


def turned_data(operator: Operator) -> Iterator[Variant]:
    """Data reversed along each of the last axes, and conjugated where they are complex.

    Args:
        operator: T.
    """
    for axis in range(1, min(operator.codomain.ndim, 3) + 1):
        yield Variant(f"reversed along axis -{axis}", data=flipped(-axis))
    if operator.codomain.is_complex:
        yield Variant("complex conjugated", data=torch.conj)


def turned_images(operator: Operator) -> Iterator[Variant]:
    """Images reversed along each axis, and transposed.

    Args:
        operator: T.
    """
    fix = "store the images so, or turn the geometry"
    shape = operator.domain.shape
    for axis in range(-len(shape), 0):
        yield Variant(f"with the images reversed along axis {axis}", image=flipped(axis), fix=fix)
    if len(shape) > 1 and shape[-1] == shape[-2]:
        yield Variant("with the images transposed", image=lambda u: u.mT, fix=fix)


@variants.register(RayTransform)
def _(operator: RayTransform) -> Iterator[Variant]:
    yield from _rays()
    yield from turned_images(operator)
    scan = operator.spec
    if isinstance(scan, Beam):
        for name, spec, fix in _other_scans(scan, scan.detector.pitch):
            yield Variant(name, operator=_made(RayTransform, spec), fix=fix)


@variants.register(RayTransform3D)
def _(operator: RayTransform3D) -> Iterator[Variant]:
    yield from _rays()
    yield Variant("with the detector rows in reverse order", data=flipped(-2))
    yield from turned_images(operator)
    spec = operator.spec
    if isinstance(spec, ParallelBeam3D | ConeBeam):
        for name, other, fix in _other_scans(spec, spec.detector.pitches[1]):
            yield Variant(name, operator=_made(RayTransform3D, other), fix=fix)


@variants.register(ArrangedTransform)
def _(operator: ArrangedTransform) -> Iterator[Variant]:
    for each in variants(operator.ray):
        yield _rearranged(operator, each)


@variants.register(TransmissionCT)
def _(operator: TransmissionCT) -> Iterator[Variant]:
    yield Variant("as exp(-y) of line integrals", data=lambda y: (-y).exp())
    yield Variant("divided by the counts of the air", data=lambda y: y / _air(y))
    yield Variant("with the angles in reverse order", data=flipped(-2))
    yield Variant("with the detector reversed", data=flipped(-1))
    yield from turned_images(operator)


@variants.register(CartesianMRI)
def _(operator: CartesianMRI) -> Iterator[Variant]:
    axes = tuple(range(-operator.domain.ndim, 0))
    yield Variant(
        "with the zero frequency in the corner", data=lambda y: torch.fft.fftshift(y, axes)
    )
    yield Variant("of images that were not centred before the FFT", data=_alternating(axes))
    yield Variant(
        "of images that were not centred, with the zero frequency in the corner",
        data=lambda y: _alternating(axes)(torch.fft.fftshift(y, axes)),
    )
    yield from turned_data(operator)
    yield from turned_images(operator)


@singledispatch
def units(operator: Operator) -> dict[float, str]:  # noqa: ARG001 - what other kinds look at
    """Common factors between data and T(truth) with their meanings; none by default.

    Args:
        operator: T.
    """
    return {}


@units.register(RayTransform)
@units.register(RayTransform3D)
def _(operator: RayTransform | RayTransform3D) -> dict[float, str]:  # noqa: ARG001 - for all of them
    return _LENGTHS


@units.register(ArrangedTransform)
def _(operator: ArrangedTransform) -> dict[float, str]:
    return units(operator.ray)


@units.register(CartesianMRI)
def _(operator: CartesianMRI) -> dict[float, str]:
    root = math.sqrt(math.prod(operator.codomain.shape[-operator.domain.ndim :]))
    return {
        root: "an FFT that is not divided by the root of the number of pixels",
        1 / root: "an FFT that is divided by the number of pixels, not by its root",
    }


def flipped(*axes: int) -> Callable[[Tensor], Tensor]:
    """A function that reverses axes of a tensor.

    Args:
        axes: Axes, negative.
    """
    return lambda values: values.flip(axes)


def _rearranged(operator: ArrangedTransform, each: Variant) -> Variant:
    """A variant of the ray transform, for images and data with other axes."""
    data, image, made = each.data, each.image, each.operator
    if data is not unchanged:
        each = each._replace(data=lambda y: operator.data_as_given(data(operator.data_as_ours(y))))
    if image is not unchanged:
        each = each._replace(
            image=lambda u: operator.image_as_given(image(operator.image_as_ours(u)))
        )
    if made is not None:
        each = each._replace(
            operator=lambda: ArrangedTransform(replace(operator.spec, geometry=made().spec))
        )
    return each


def _rays() -> Iterator[Variant]:
    """Common changes of sinograms and projections, the angles first and the detector last."""
    yield Variant("as the logarithm of transmissions, -ln(y)", data=_log)
    yield Variant("as the logarithm of counts, -ln(y/y0)", data=lambda y: _log(y / _air(y)))
    yield Variant("with the detector reversed", data=flipped(-1))


def _other_scans(
    spec: Any,  # noqa: ANN401 - a geometry with angles and a detector
    pitch: float,
) -> Iterator[tuple[str, Any, str]]:
    """Geometries that are easily taken for the right one, and what is to be changed."""
    angles = spec.angle_values
    yield (
        "of a scan that turns the other way",
        spec.with_angles(tuple(-a for a in angles)),
        "change the sign of all angles of the geometry",
    )
    yield (
        "of a scan from the last angle to the first",
        spec.with_angles(angles[::-1]),
        "reverse the order of the angles of the geometry",
    )
    step = (angles[-1] - angles[0]) / max(len(angles) - 1, 1)
    for words, shift in (
        ("with every angle half a step earlier", -0.5 * step),
        ("with every angle half a step later", 0.5 * step),
        ("of a scan that is turned by 90 degrees", math.pi / 2),
    ):
        moved = spec.with_angles(tuple(a + shift for a in angles))
        yield words, moved, f"add {shift:.5g} to all angles of the geometry"
    if isinstance(spec.angles, AngleRange) and len(angles) > 1:
        whole = spec.angles.arc / (len(angles) - 1)
        ends = tuple(spec.angles.start + k * whole for k in range(len(angles)))
        yield (
            "with angles at both ends of the arc",
            spec.with_angles(ends),
            "list the angles in the geometry, both ends of the arc among them",
        )
    for words, shift in (("less", -0.5 * pitch), ("more", 0.5 * pitch)):
        detector = replace(spec.detector, axis_offset=spec.detector.axis_offset + shift)
        yield (
            f"with the axis offset half a detector pixel {words}",
            replace(spec, detector=detector),
            f"add {shift:g} to detector.axis_offset of the geometry",
        )


def _made(kind: Callable[[Spec], Operator], spec: Spec) -> Callable[[], Operator]:
    return lambda: kind(spec)


def _alternating(axes: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Multiplication by (-1)^k along axes, k = 0 in the middle: a shift by half an image."""

    def change(values: Tensor) -> Tensor:
        for axis in axes:
            number = values.shape[axis]
            places = torch.arange(number, device=values.device) - number // 2
            sign = 1 - 2 * (places % 2)
            values = values * sign.reshape(-1, *[1] * (-axis - 1))
        return values

    return change


def _log(y: Tensor) -> Tensor:
    return -y.clamp(min=_LEAST).log()


def _air(y: Tensor) -> Tensor:
    """The value of the detector without an object: nearly the largest one."""
    values = y.flatten()
    values = values[:: max(1, values.numel() // _MOST)]
    return values.kthvalue(max(1, round(_AIR * values.numel()))).values.clamp(min=1e-30)
