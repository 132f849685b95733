"""Pseudo-inverses of partial isometries, of diagonals and of Cartesian MRI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.compiling import real_of
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.imaging.shapes import Crop, Identity, RealToComplex
from learnedrecon.operators.imaging.wavelet import Wavelet
from learnedrecon.operators.linear import Adjoint, LinearOperator
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.fourier import CentredFFT
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.solvers.direct.pseudo_inverse import has_pseudo_inverse, pseudo_inverse

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.networks.filters import Window

_PARTIAL_ISOMETRIES = (Identity, RealToComplex, Crop, CentredFFT, Wavelet)


@pseudo_inverse.register(CartesianMRI)
@pseudo_inverse.register(Wavelet)
@pseudo_inverse.register(CentredFFT)
@pseudo_inverse.register(Crop)
@pseudo_inverse.register(RealToComplex)
@pseudo_inverse.register(Identity)
def _by_adjoint(
    operator: LinearOperator,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered backprojection
    bandwidth: float = 1.0,  # noqa: ARG001 - of filtered backprojection
) -> Tensor:
    """T*y: T⁺ = T* for TT*T = T, and the zero-filled image of MRI."""
    return operator.adjoint(data)


@pseudo_inverse.register(Adjoint)
def _of_adjoint(
    operator: Adjoint,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered backprojection
    bandwidth: float = 1.0,  # noqa: ARG001 - of filtered backprojection
) -> Tensor:
    """(T*)⁺ = T for a partial isometry."""
    if not has_pseudo_inverse(operator):
        return pseudo_inverse.dispatch(object)(operator, data)
    return operator.operator(data)


@has_pseudo_inverse.register(Adjoint)
def _adjoint_has(operator: Adjoint) -> bool:
    return isinstance(operator.operator, _PARTIAL_ISOMETRIES)


@pseudo_inverse.register(Inpaint)
@pseudo_inverse.register(Diagonal)
def _by_division(
    operator: Diagonal | Inpaint,
    data: Tensor,
    *,
    window: Window = "ram-lak",  # noqa: ARG001 - of filtered backprojection
    bandwidth: float = 1.0,  # noqa: ARG001 - of filtered backprojection
) -> Tensor:
    """y/d, and 0 where d is."""
    data = operator.codomain.check(data, "data")
    factor = operator.diagonal if isinstance(operator, Diagonal) else operator.mask
    seen = factor != 0
    kind = data.dtype if factor.is_complex() else real_of(data.dtype)
    divisor = torch.where(seen, factor, torch.ones_like(factor)).to(kind)
    return torch.where(seen, data / divisor, torch.zeros_like(data))
