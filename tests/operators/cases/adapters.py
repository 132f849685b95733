"""Operators of SciPy, PyLops and ODL, wrapped, and what the adapters need on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import odl
import pylops
import scipy.sparse
import torch
from scipy.sparse.linalg import LinearOperator as SciPyOperator

from learnedrecon.operators.adapters.odl import from_odl
from learnedrecon.operators.adapters.pylops import from_pylops
from learnedrecon.operators.adapters.real_parts import LinearRealParts, RealParts
from learnedrecon.operators.adapters.scipy import from_scipy, to_scipy
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from learnedrecon.operators.adapters.checks import Theirs
    from learnedrecon.operators.base import Operator

GEOMETRY = ParallelBeam((6, 5), AngleRange(4), FlatDetector(9, 1.1))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _complex_name(dtype: torch.dtype) -> str:
    return _name(dtype.to_complex())


def _matrix(name: str) -> Theirs:
    generator = np.random.default_rng(0)
    entries: NDArray[Any] = generator.standard_normal((12, 20))
    if name.startswith("complex"):
        entries = entries + 1j * generator.standard_normal((12, 20))
    return (entries * (generator.random((12, 20)) < 0.4)).astype(name)


def _sparse(dtype: torch.dtype) -> Operator:
    return from_scipy(scipy.sparse.csr_array(_matrix(_name(dtype))), (4, 5), (3, 4))


def _sparse_complex(dtype: torch.dtype) -> Operator:
    return from_scipy(scipy.sparse.coo_matrix(_matrix(_complex_name(dtype))), (4, 5))


def _vectors_only(dtype: torch.dtype) -> Operator:
    """With matvec and rmatvec, and no matmat."""
    matrix = _matrix(_name(dtype))
    theirs = SciPyOperator(
        matrix.shape, matvec=matrix.__matmul__, rmatvec=matrix.T.__matmul__, dtype=matrix.dtype
    )
    return from_scipy(theirs)


def _there_and_back(dtype: torch.dtype) -> Operator:
    return from_scipy(to_scipy(RayTransform(GEOMETRY, dtype)), (6, 5), (4, 9))


def _discr(dtype: torch.dtype) -> Theirs:
    """Cells of 0.5 by 0.6."""
    return odl.uniform_discr([0, 0], [2, 3], (4, 5), dtype=_name(dtype))


def _odl_weighted(dtype: torch.dtype) -> Operator:
    """A power of a space of weighted entries, with weights of its own."""
    name = _name(dtype)
    space = odl.rn(3, dtype=name, weighting=np.array([0.5, 1.0, 3.0], name))
    return from_odl(odl.ScalingOperator(odl.ProductSpace(space, 2, weighting=[1.0, 4.0]), 2.5))


def _odl_complex(dtype: torch.dtype) -> Operator:
    space = odl.uniform_discr([0, 0], [2, 3], (4, 5), dtype=_complex_name(dtype))
    return from_odl(odl.Gradient(space))


def _odl_cube(dtype: torch.dtype) -> Operator:
    """Nonlinear; computed in float64 in both."""
    return from_odl(odl.PowerOperator(_discr(torch.float64), 3), dtype)


CASES: dict[str, Callable[[torch.dtype], Operator]] = {
    "scipy sparse": _sparse,
    "scipy sparse, complex": _sparse_complex,
    "scipy complex matrix, real images": lambda dtype: from_scipy(
        _matrix(_complex_name(dtype)), (4, 5), (12,), dtype
    ),
    "scipy integers": lambda dtype: from_scipy(
        scipy.sparse.csr_array(np.arange(6).reshape(2, 3)), dtype=dtype
    ),
    "scipy matvec only": _vectors_only,
    "scipy there and back": _there_and_back,
    "pylops derivative": lambda dtype: from_pylops(
        pylops.FirstDerivative((5, 6), axis=0, edge=True, dtype=_name(dtype))
    ),
    "pylops gradient": lambda dtype: from_pylops(pylops.Gradient((5, 6), dtype=_name(dtype))),
    "pylops convolution": lambda dtype: from_pylops(
        pylops.signalprocessing.Convolve1D(
            (6, 4), h=np.array([1.0, -2, 0.5], _name(dtype)), offset=1, axis=0, dtype=_name(dtype)
        )
    ),
    "pylops composition": lambda dtype: from_pylops(
        pylops.Diagonal(np.arange(1.0, 31, dtype=_name(dtype)))
        @ pylops.SecondDerivative((5, 6), axis=1, dtype=_name(dtype)),
        dtype,
    ),
    "pylops FFT": lambda dtype: from_pylops(
        pylops.signalprocessing.FFT2D((6, 5), dtype=_complex_name(dtype), engine="scipy")
    ),
    "pylops real FFT": lambda dtype: from_pylops(
        pylops.signalprocessing.FFT2D((6, 5), real=True, dtype=_name(dtype), engine="scipy"),
        dtype,
    ),
    "odl gradient": lambda dtype: from_odl(odl.Gradient(_discr(dtype))),
    "odl gradient, complex": _odl_complex,
    "odl divergence": lambda dtype: from_odl(odl.Gradient(_discr(dtype)).adjoint),
    "odl laplacian": lambda dtype: from_odl(odl.Laplacian(_discr(dtype), pad_mode="constant")),
    "odl sampling": lambda dtype: from_odl(
        odl.SamplingOperator(_discr(dtype), [[0, 1, 1, 3], [0, 1, 2, 4]], "point_eval")
    ),
    "odl flattening": lambda dtype: from_odl(odl.FlatteningOperator(_discr(dtype))),
    "odl resizing": lambda dtype: from_odl(odl.ResizingOperator(_discr(dtype), ran_shp=(6, 7))),
    "odl weighted power": _odl_weighted,
    "odl torch arrays": lambda dtype: from_odl(
        odl.ScalingOperator(odl.rn((3, 4), dtype=_name(dtype), impl="pytorch"), -3.0)
    ),
    "odl cube": _odl_cube,
    "real parts": lambda dtype: LinearRealParts(
        FiniteDifference(Space((3, 4), dtype.to_complex()))
    ),
    "real parts, nonlinear": lambda dtype: RealParts(
        TransmissionCT(Transmission(GEOMETRY, 0.07), dtype)
    ),
}
