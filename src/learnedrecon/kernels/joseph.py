"""Joseph's ray transform in 2D and its exact transpose, by the fastest available kernel.

CPU tensors go to the compiled kernels (cpp/), CUDA tensors to those in Triton (`triton2d`), and all
others, or all where there is no compiler, to `learnedrecon.kernels.oracle`. Autograd does not
record these functions: `learnedrecon.operators` wraps the pair, each being the gradient of the
other.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.kernels import oracle, triton2d
from learnedrecon.kernels.entries import check_entries
from learnedrecon.kernels.geometry import RayGeometry2D
from learnedrecon.kernels.triton_launch import runs_on

try:
    from learnedrecon.kernels import _joseph
except ImportError:  # installed without a C++ compiler
    _compiled = False
else:
    _compiled = True

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from learnedrecon.kernels.sizes import Sizes

__all__ = [
    "RayGeometry2D",
    "adjoint",
    "available_isas",
    "backproject",
    "current_isa",
    "forward",
    "project",
    "set_isa",
]

_logger = logging.getLogger("learnedrecon")
_threads = torch.get_num_threads


def forward(image: Tensor, geometry: RayGeometry2D) -> Tensor:
    """Line integrals of images along the rays of a scan.

    Args:
        image: Images (*lead, ny, nx), float32 or float64, on any device.
        geometry: Rays of the scan.

    Returns:
        Data (*lead, angles, detectors) of the same dtype, in mm times the unit of the image.

    Raises:
        DtypeError: The image is neither float32 nor float64.
        ShapeError: The last two axes are not those of the geometry.
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    check_entries(image, geometry.shape, "image (*lead, ny, nx)")
    return project(image, _vectors_of(geometry, image), geometry.sizes)


def adjoint(data: Tensor, geometry: RayGeometry2D) -> Tensor:
    """The exact transpose of `forward`, backprojection along the rays.

    Args:
        data: Data (*lead, angles, detectors), float32 or float64, on any device.
        geometry: Rays of the scan.

    Returns:
        Images (*lead, ny, nx) of the same dtype.

    Raises:
        DtypeError: The data are neither float32 nor float64.
        ShapeError: The last two axes are not those of the geometry.
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    check_entries(data, (geometry.angles, geometry.detectors), "data (*lead, angles, detectors)")
    return backproject(data, _vectors_of(geometry, data), geometry.sizes)


def project(image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """`forward` without checks, for callers that have checked their arguments.

    Args:
        image: Images (*lead, ny, nx), float32 or float64.
        vectors: Poses (angles, 6), float64, as in `RayGeometry2D`, valid and contiguous; on the
            device of the image, or on the CPU.
        sizes: Sizes and constants of the scan, which fit the tensors.
    """
    return _pair(image).project(image.detach(), vectors.detach(), sizes)


def backproject(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    """`adjoint` without checks, for callers that have checked their arguments.

    Args:
        data: Data (*lead, angles, detectors), float32 or float64.
        vectors: Poses, as in `project`.
        sizes: Sizes and constants of the scan.
    """
    return _pair(data).backproject(data.detach(), vectors.detach(), sizes)


def available_isas() -> tuple[str, ...]:
    """The instruction sets for which compiled kernels run here, fastest first; possibly none."""
    return tuple(_joseph.available_isas()) if _compiled else ()


def current_isa() -> str | None:
    """The instruction set in use, None without compiled kernels.

    Raises:
        ConfigError: LEARNEDRECON_SIMD names an instruction set that is not available.
    """
    _heed_environment()
    return _joseph.current_isa() if _compiled else None


def set_isa(name: str | None) -> None:
    """Sets the instruction set of the compiled kernels for the whole process.

    Args:
        name: "avx512", "avx2" or "portable"; None for the one in the environment variable
            LEARNEDRECON_SIMD, which is read once, at the first use, or otherwise the fastest one.

    Raises:
        ConfigError: This build or this processor does not have the instruction set, or not that of
            LEARNEDRECON_SIMD.
    """
    environment = _heed_environment()
    if name is None and not _compiled:
        return
    if name not in {None, *available_isas()}:
        raise ConfigError(
            describe(
                expected=f"one of {available_isas()}, or None",
                found=repr(name),
                fix="choose one that learnedrecon.kernels.joseph.available_isas() lists",
            )
        )
    _joseph.set_isa(name or environment)


@functools.cache
def _heed_environment() -> str:
    """Sets the instruction set that LEARNEDRECON_SIMD names, once; "" is the best one."""
    name = os.environ.get("LEARNEDRECON_SIMD", "")
    if name and name not in available_isas():
        raise ConfigError(
            describe(
                expected=f"LEARNEDRECON_SIMD to be one of {available_isas()}, or not set",
                found=f"LEARNEDRECON_SIMD={name}",
                fix="choose one of these, or unset it to use the fastest one",
            )
        )
    if _compiled:
        _joseph.set_isa(name)
    return name


class _Pair(NamedTuple):
    """A transform and its transpose on one kind of device; see `project` for the arguments."""

    project: Callable[[Tensor, Tensor, Sizes], Tensor]
    backproject: Callable[[Tensor, Tensor, Sizes], Tensor]


def _pair(tensor: Tensor) -> _Pair:
    """The fastest kernels for a tensor: the one place that knows of devices."""
    if tensor.is_cpu:
        if not torch.compiler.is_compiling():  # what was compiled comes here when it runs
            _heed_environment()
        if _compiled:
            return _COMPILED
        _notice("The package was installed without a C++ compiler")
    elif runs_on(tensor.device):
        return _TRITON
    elif tensor.is_cuda:
        _notice("Triton is not installed")
    else:
        _notice(f"There is no compiled ray transform for {tensor.device.type!r} tensors")
    return _PLAIN


def _project_compiled(image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    lead = image.shape[:-2]
    data = torch.empty((*lead, vectors.shape[0], *sizes.detectors), dtype=image.dtype)
    dy, dx = sizes.pixel
    _joseph.forward(
        _stack(image), _stack(data), vectors.numpy(), sizes.diverging, dy, dx, _threads()
    )
    return data


def _backproject_compiled(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    lead = data.shape[:-2]
    image = torch.empty((*lead, *sizes.shape), dtype=data.dtype)
    dy, dx = sizes.pixel
    _joseph.adjoint(
        _stack(data), _stack(image), vectors.numpy(), sizes.diverging, dy, dx, _threads()
    )
    return image


def _stack(tensor: Tensor) -> NDArray[Any]:
    """(batch, ., .) as NumPy, which is cheaper to hand to C++ than a tensor."""
    *lead, rows, columns = tensor.shape
    return tensor.contiguous().resolve_neg().numpy().reshape(math.prod(lead), rows, columns)


@torch.no_grad()
def _project_plain(image: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    return oracle.forward(image, RayGeometry2D.of(vectors.cpu().numpy(), sizes))


@torch.no_grad()
def _backproject_plain(data: Tensor, vectors: Tensor, sizes: Sizes) -> Tensor:
    return oracle.adjoint(data, RayGeometry2D.of(vectors.cpu().numpy(), sizes))


_COMPILED = _Pair(_project_compiled, _backproject_compiled)
_PLAIN = _Pair(_project_plain, _backproject_plain)
_TRITON = _Pair(triton2d.project, triton2d.backproject)


def _vectors_of(geometry: RayGeometry2D, like: Tensor) -> Tensor:
    device = "cpu" if like.device.type == "mps" else like.device
    return torch.tensor(geometry.vectors, device=device)


@functools.cache
def _notice(reason: str) -> None:
    """Logs once per reason."""
    _logger.warning("%s: the ray transform runs in plain PyTorch, which is slow.", reason)
