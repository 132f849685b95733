"""Checks of the tensors of a non-Cartesian scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError, describe
from learnedrecon.operators.leading import require_leading
from learnedrecon.operators.mri.trajectories import require_frequencies
from learnedrecon.operators.ray.autograd import transforms_are_active
from learnedrecon.operators.space import require_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_NAMES = ("maps", "trajectory")


def check(
    tensors: Mapping[str, Tensor],
    coils: int | None,
    shape: tuple[int, ...],
    trajectory: tuple[int, ...],
) -> None:
    """Check of the names, shapes, dtypes and values of coil maps and trajectories.

    Args:
        tensors: "maps" (*lead, coil, *shape) and "trajectory" (*lead, interleave, sample, axis).
        coils: Number of coils, or None.
        shape: Shape of the image.
        trajectory: Shape of the present trajectory.

    Raises:
        GeometryError: Unknown names, maps without coils, or frequencies beyond ±2π.
        ShapeError: Other last axes, or no channel axis.
        DtypeError: Not tensors of floats.
        DataError: A number is not finite.
    """
    _require_names(tensors, coils)
    last = {"maps": (coils, *shape), "trajectory": tuple(trajectory[-3:])}
    for name, tensor in tensors.items():
        require_tensor(tensor, name)
        _require_type(name, tensor)
        expected = last[name]
        if tuple(tensor.shape[-len(expected) :]) != expected:
            raise ShapeError(
                describe(
                    expected=f"{name} with last axes {expected}",
                    found=f"shape {tuple(tensor.shape)}",
                    fix="compare it with the spec of the operator",
                )
            )
        require_leading(tensor, len(expected), name)
        if not transforms_are_active():  # vmap has no values to look at
            _require_values(name, tensor.detach())


def _require_names(tensors: Mapping[str, Tensor], coils: int | None) -> None:
    allowed = _NAMES if coils is not None else ("trajectory",)
    if not set(tensors) <= set(allowed):
        raise GeometryError(
            describe(
                expected=f"tensors called {' or '.join(allowed)}",
                found=", ".join(sorted(tensors)),
                fix="remove the others; maps need a spec with coils, NonCartesian(..., coils=8)",
            )
        )


def _require_type(name: str, tensor: Tensor) -> None:
    floats = tensor.is_floating_point() or (name == "maps" and tensor.is_complex())
    if not floats:
        kind = "real" if name == "trajectory" else "complex or real"
        raise DtypeError(
            describe(
                expected=f"{name} of {kind} floats",
                found=f"{tensor.dtype}",
                fix="convert it, for example with .double()",
            )
        )


def _require_values(name: str, tensor: Tensor) -> None:
    if not bool(tensor.isfinite().all()):
        raise DataError(
            describe(
                expected=f"finite {name}",
                found="NaN or infinity",
                fix="find the computation that produced it",
            )
        )
    if name == "trajectory":
        require_frequencies(float(tensor.abs().max()))
