"""Checks of masks and coil maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.leading import require_leading
from learnedrecon.operators.ray.autograd import transforms_are_active
from learnedrecon.operators.space import require_tensor

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("mask", "maps")


def require_names(names: object, kind: str) -> None:
    """Check that tensors are named "mask" or "maps".

    Args:
        names: Names of the tensors.
        kind: Name of the operator, for the message.

    Raises:
        GeometryError: A name is unknown.
    """
    if unknown := sorted(set(names) - set(NAMES)):  # type: ignore[call-overload]
        raise GeometryError(
            describe(
                expected=f"the tensors {' and '.join(NAMES)} of {kind}",
                found=", ".join(unknown),
                fix="rename them, or remove them from the samples",
            )
        )


def binary_mask(mask: Tensor, sizes: tuple[int, ...], *, coils: bool) -> Tensor:
    """A mask as a boolean tensor.

    Args:
        mask: Zeros and ones of any dtype. Fixed: its axes are the last ones of ``sizes``, or 1. Per
            sample: (*lead, 1, *sizes or 1), where the 1 before the sizes is the axis of coils,
            present only if there are coils.
        sizes: Sizes of k-space.
        coils: True if the data have an axis of coils.

    Returns:
        Mask (*sizes or 1), or (*lead, 1, *sizes or 1), without the 1 where there are no coils.

    Raises:
        DtypeError: The mask is not a tensor, or is complex.
        ShapeError: The axes do not broadcast to those of k-space, there is one mask per coil, or a
            mask per sample has no channel axis.
        DataError: The mask has values other than 0 and 1.
    """
    require_tensor(mask, "a mask")
    number = len(sizes)
    if mask.is_complex():
        raise DtypeError(
            describe(
                expected="a real or boolean mask",
                found=str(mask.dtype),
                fix="give its absolute value, or data.abs() > 0",
            )
        )
    fits = all(n in {1, N} for n, N in zip(reversed(mask.shape), reversed(sizes), strict=False))
    per_coil = coils and mask.ndim > number and mask.shape[-number - 1] != 1
    if mask.ndim < 1 or not fits or per_coil:
        lead = "(batch, 1, 1, " if coils else "(batch, 1, "
        names = ", ".join(map(str, sizes))
        raise ShapeError(
            describe(
                expected=f"a mask ({names}), a line of it, or {lead}{names}) for each sample",
                found=f"shape {tuple(mask.shape)}",
                fix="give k-space sizes or 1; all coils of a sample share one mask",
            )
        )
    require_leading(mask, number + int(coils and mask.ndim > number), "mask")
    found = mask.detach()
    if found.dtype != torch.bool and not _values_are_hidden():
        wrong = found[(found != 0) & (found != 1)]
        if len(wrong):
            raise DataError(
                describe(
                    expected="a binary mask",
                    found=f"{len(wrong)} values other than 0 and 1, such as {float(wrong[0]):g}",
                    fix="threshold it, such as mask > 0; weights belong to the data term",
                )
            )
    return found.reshape(*[1] * (number - found.ndim), *found.shape).bool()


def coil_maps(maps: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Coil sensitivity maps that have been checked.

    Args:
        maps: Complex maps, fixed (*sizes) or per sample (*lead, *sizes); they may be the output of
            a network.
        sizes: Sizes (coils, *image).

    Raises:
        DtypeError: The maps are not a tensor, or are real.
        ShapeError: The sizes differ, or maps per sample have no channel axis.
        DataError: A number is not finite.
    """
    require_tensor(maps, "coil maps")
    if not maps.is_complex():
        raise DtypeError(
            describe(
                expected="complex coil maps",
                found=str(maps.dtype),
                fix="convert them with .to(torch.complex64)",
            )
        )
    if tuple(maps.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            describe(
                expected=f"coil maps with last axes (coils, *image) = {sizes}",
                found=f"shape {tuple(maps.shape)}",
                fix="give (coil, ny, nx), or (batch, 1, coil, ny, nx) for each sample",
            )
        )
    require_leading(maps, len(sizes), "maps")
    if not _values_are_hidden() and not bool(maps.detach().isfinite().all()):
        raise DataError(
            describe(
                expected="finite maps",
                found="NaN or infinity",
                fix="set the maps to 0 where no coil sees anything, as outside of the body; they"
                " are 0/0 there where they were divided by their sum of squares",
            )
        )
    return maps


def positive_weight(weight: Tensor | float, axes: int) -> None:
    """Check for a λ that is positive and constant on the image.

    Args:
        weight: λ, a number or a tensor.
        axes: Number of axes of the image.

    Raises:
        DataError: λ ≤ 0.
        ShapeError: λ is a tensor that varies over the last ``axes`` axes.
    """
    if isinstance(weight, torch.Tensor):
        if any(n != 1 for n in weight.shape[-axes:]):
            raise ShapeError(
                describe(
                    expected="λ as a number, or (batch, 1, ...) with 1 for every axis of the image",
                    found=f"shape {tuple(weight.shape)}",
                    fix="use CG where λ varies over the image",
                )
            )
        if _values_are_hidden():
            return
    if not bool(torch.as_tensor(weight > 0).all()):
        raise DataError(
            describe(
                expected="λ > 0",
                found=f"{weight}",
                fix="give a positive λ, as A*A alone may have no inverse",
            )
        )


def _values_are_hidden() -> bool:
    """True if this is a transform, or being compiled, where one may not look at numbers."""
    return torch.compiler.is_compiling() or transforms_are_active()


def require_finite_kspace(kspace: Tensor) -> None:
    """Check that k-space has neither NaN nor infinity.

    Args:
        kspace: Data.

    Raises:
        DataError: A value is not finite.
    """
    if not bool(torch.isfinite(kspace).all()):
        raise DataError(
            describe(
                expected="finite k-space",
                found="NaN or infinity",
                fix="check how the file was read",
            )
        )
