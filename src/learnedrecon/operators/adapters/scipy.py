"""Adapters of SciPy's linear operators and sparse matrices, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import torch
from scipy.sparse.linalg import LinearOperator as SciPyOperator
from scipy.sparse.linalg import aslinearoperator

from learnedrecon.operators.adapters.checks import (
    device_of,
    require_instance,
    require_linear,
    require_size,
)
from learnedrecon.operators.adapters.foreign import (
    Matrix,
    from_matrix,
    kind_of,
    precision_of,
    spaces_of,
    to_array,
)
from learnedrecon.operators.adapters.real_parts import over_one_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from learnedrecon.operators.adapters.checks import Theirs
    from learnedrecon.operators.linear import LinearOperator
    from learnedrecon.operators.space import Space

    Array = NDArray[Any]

_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.complex64: np.complex64,
    torch.complex128: np.complex128,
}


def from_scipy(
    linear_operator: object,
    domain_shape: tuple[int, ...] | None = None,
    codomain_shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
) -> LinearOperator:
    """A ``scipy.sparse.linalg.LinearOperator``, a sparse or a dense matrix as an operator.

    It runs on the CPU in SciPy's precision, with a copy from and to the device of the argument;
    samples are the columns of one ``matmat``. ``rmatvec`` is the conjugate transposed, which is
    the adjoint here too; on real images T* is its real part.

    Args:
        linear_operator: Operator of shape (m, n), with an adjoint; a missing dtype counts as
            float64.
        domain_shape: Shape of images, with n entries in C order; (n,) unless given.
        codomain_shape: Shape of data, with m entries in C order; (m,) unless given.
        dtype: Dtype of the images; that of the operator unless given. Data are complex where the
            operator or the images are.

    Raises:
        DtypeError: The object is not a linear operator of SciPy, or has no adjoint.
        ShapeError: A shape has another number of entries, or columns have another length than
            declared.
    """
    require_instance(
        linear_operator,
        (SciPyOperator, np.ndarray, scipy.sparse.sparray, scipy.sparse.spmatrix),
        "a scipy.sparse.linalg.LinearOperator, a sparse matrix or an array of two axes",
        "wrap functions as scipy.sparse.linalg.LinearOperator(shape, matvec=..., rmatvec=...)",
    )
    theirs = aslinearoperator(linear_operator)
    rows, columns = theirs.shape
    domain_shape = (columns,) if domain_shape is None else tuple(domain_shape)
    codomain_shape = (rows,) if codomain_shape is None else tuple(codomain_shape)
    domain, codomain = spaces_of(domain_shape, codomain_shape, kind_of(theirs.dtype), dtype)
    require_size(domain.shape, columns, "domain_shape")
    require_size(codomain.shape, rows, "codomain_shape")
    matrix = Matrix(theirs.matmat, theirs.rmatmat)
    return from_matrix(matrix, domain, codomain, precision_of(theirs.dtype), "a SciPy operator")


def to_scipy(operator: LinearOperator, *, stacked: bool = False) -> Theirs:
    """An operator as a ``scipy.sparse.linalg.LinearOperator``, for lsqr, cg and svds.

    Vectors are elements in C order, of the operator's own dtype. An operator from real images to
    complex data, or back, is linear over the reals alone: it acts on real vectors, in which a
    complex element is written as all its real parts followed by all its imaginary parts
    (``np.concatenate([z.real.ravel(), z.imag.ravel()])``).

    Args:
        operator: T; it runs on the device of its buffers, without autograd.
        stacked: True to write complex elements as two real parts also where both spaces are
            complex.

    Raises:
        DtypeError: The object is not a linear operator of this library, or it is one between
            complex spaces with T(iu) ≠ iT(u) and ``stacked`` is false.
    """
    operator = require_linear(operator, "to_scipy")
    return vectorised(require_linear(over_one_field(operator, "to_scipy", stacked=stacked), ""))


def vectorised(operator: LinearOperator) -> Theirs:
    """T on flattened vectors, real or complex as the space of each vector.

    Args:
        operator: T.
    """
    codomain, domain = operator.codomain, operator.domain

    def forward(columns: Array) -> Array:
        return _on_columns(operator, domain, columns)

    def adjoint(columns: Array) -> Array:
        return _on_columns(operator.H, codomain, columns)

    return SciPyOperator(
        shape=(codomain.size, domain.size),
        matvec=forward,
        rmatvec=adjoint,
        matmat=forward,
        rmatmat=adjoint,
        dtype=_NUMPY[torch.promote_types(domain.dtype, codomain.dtype)],
    )


@torch.no_grad()
def _on_columns(operator: LinearOperator, domain: Space, columns: Array) -> Array:
    """T of (n,) or of every column of (n, k)."""
    vectors = columns.reshape(domain.size, -1).T
    given = np.ascontiguousarray(vectors if domain.is_complex else np.real(vectors))
    batch = torch.from_numpy(given.astype(_NUMPY[domain.dtype], copy=True)).to(device_of(operator))
    values = operator(batch.reshape(-1, *domain.shape))
    array = to_array(values, operator.codomain.dtype.to_real()).reshape(len(given), -1)
    return array.T if columns.ndim == 2 else array[0]
