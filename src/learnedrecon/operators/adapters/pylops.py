"""Adapters of PyLops' linear operators, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnedrecon.errors import load_extra
from learnedrecon.operators.adapters.checks import require_instance, require_linear
from learnedrecon.operators.adapters.foreign import (
    Matrix,
    from_matrix,
    kind_of,
    precision_of,
    spaces_of,
)
from learnedrecon.operators.adapters.real_parts import is_complex_linear
from learnedrecon.operators.adapters.scipy import vectorised

if TYPE_CHECKING:
    import torch

    from learnedrecon.operators.adapters.checks import Theirs
    from learnedrecon.operators.linear import LinearOperator


def from_pylops(linear_operator: object, dtype: torch.dtype | None = None) -> LinearOperator:
    """A ``pylops.LinearOperator`` as an operator, with its ``dims`` and ``dimsd`` as shapes.

    It runs on the CPU in the precision that PyLops declares, with a copy from and to the device of
    the argument. On real images T* is the real part of PyLops' adjoint; operators that PyLops
    declares as real-linear (``clinear=False``) accept only the kind of image, real or complex, that
    they are made for.

    Args:
        linear_operator: PyLops operator with an adjoint.
        dtype: Dtype of the images; that of the operator unless given. Data are complex where the
            operator or the images are: ``from_pylops(FFT2D(..., real=True), torch.float64)``.

    Raises:
        MissingExtraError: PyLops is not installed.
        DtypeError: The object is not an operator of PyLops, or has no adjoint.
        ShapeError: Columns have another length than declared.
    """
    pylops = load_extra("pylops", "pylops")
    require_instance(
        linear_operator,
        pylops.LinearOperator,
        "a pylops.LinearOperator",
        "use from_scipy for operators of SciPy and for matrices",
    )
    theirs: Theirs = linear_operator
    declared = kind_of(theirs.dtype)
    domain, codomain = spaces_of(tuple(theirs.dims), tuple(theirs.dimsd), declared, dtype)
    matrix = Matrix(theirs.matmat, theirs.rmatmat)
    return from_matrix(matrix, domain, codomain, precision_of(theirs.dtype), "a PyLops operator")


def to_pylops(operator: LinearOperator) -> Theirs:
    """An operator as a ``pylops.LinearOperator`` with ``dims``, ``dimsd`` and ``clinear``.

    Between a real and a complex space the real vectors stay real, as in PyLops' own real FFT:
    T takes the real part of what it is given, T* returns real numbers, and ``clinear`` is False.

    Args:
        operator: T; it runs on the device of its buffers, without autograd.

    Raises:
        MissingExtraError: PyLops is not installed.
        DtypeError: The object is not a linear operator of this library.
    """
    operator = require_linear(operator, "to_pylops")
    pylops = load_extra("pylops", "pylops")
    return pylops.LinearOperator(
        Op=vectorised(operator),
        dims=operator.domain.shape,
        dimsd=operator.codomain.shape,
        clinear=is_complex_linear(operator),
        name=type(operator).__name__,
    )
