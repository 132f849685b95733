"""Linear operators from pairs of functions on NumPy arrays: the common part of all adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from learnedrecon.compiling import uncompiled
from learnedrecon.operators.adapters.checks import Theirs, probe
from learnedrecon.operators.autograd import Kernel, apply_kernel, apply_kernel_adjoint
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]


def precision_of(dtype: Theirs) -> torch.dtype:
    """The precision, float32 or float64, in which a library computes.

    Args:
        dtype: Dtype that the library declares; also None or an integer type.
    """
    declared = np.dtype(np.float64 if dtype is None else dtype)
    narrow = np.result_type(declared, np.float32) in {np.dtype("f4"), np.dtype("c8")}
    return torch.float32 if narrow else torch.float64


def kind_of(dtype: Theirs) -> torch.dtype:
    """The dtype of torch for numbers that a library declares.

    Args:
        dtype: Dtype that the library declares.
    """
    precision = precision_of(dtype)
    is_complex = dtype is not None and np.issubdtype(np.dtype(dtype), np.complexfloating)
    return precision.to_complex() if is_complex else precision


def spaces_of(
    domain_shape: tuple[int, ...],
    codomain_shape: tuple[int, ...],
    declared: torch.dtype,
    dtype: torch.dtype | None,
) -> tuple[Space, Space]:
    """Domain and codomain; the codomain is complex where the domain or the operator is.

    Args:
        domain_shape: Shape of one image.
        codomain_shape: Shape of its data.
        declared: Dtype of the operator's own numbers.
        dtype: Dtype of the domain; ``declared`` unless given.
    """
    domain = Space(domain_shape, declared if dtype is None else dtype)
    kind = domain.dtype.to_complex() if declared.is_complex else domain.dtype
    return domain, Space(codomain_shape, kind)


def to_array(tensor: Tensor, precision: torch.dtype) -> Array:
    """The numbers of a tensor as an array on the CPU, in the given precision.

    Args:
        tensor: Real or complex tensor.
        precision: float32 or float64; complex tensors get the complex dtype of that precision.
    """
    kind = precision.to_complex() if tensor.is_complex() else precision
    return tensor.detach().cpu().to(kind).resolve_conj().resolve_neg().numpy()


def to_tensor(array: Array, like: Tensor, space: Space) -> Tensor:
    """An array as a tensor on the device and in the precision of ``like``; a copy.

    Args:
        array: Array to copy.
        like: Tensor that determines device and precision.
        space: Space of the result; where it is real, the real part is taken.
    """
    if np.iscomplexobj(array) and not space.is_complex:
        array = np.real(array)
    return torch.from_numpy(np.array(array)).to(like.device, _in_precision_of(like, space))


def _in_precision_of(like: Tensor, space: Space) -> torch.dtype:
    kind = like.dtype.to_real()
    return kind.to_complex() if space.is_complex else kind


@uncompiled
def interrupted(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """A call outside compiled code, which would otherwise trace through the library's NumPy.

    Args:
        function: Function to call.
        arguments: Its arguments.
    """
    return function(*arguments)


class ArrayPair(NamedTuple):
    """T and T* as functions on arrays.

    Attributes:
        forward: T, from (batch, *domain.shape) to (batch, *codomain.shape).
        adjoint: T*, from data to images, exact for the unweighted inner product.
    """

    forward: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]


class ArrayKernel:
    """T and T* on tensors, from a pair on arrays, which copies share and which is never moved.

    Args:
        pair: T and T*.
        domain: Space of one image.
        codomain: Space of its data.
        precision: float32 or float64, the precision of the pair.
    """

    def __init__(
        self, pair: ArrayPair, domain: Space, codomain: Space, precision: torch.dtype
    ) -> None:
        self._pair = pair
        self._domain = domain
        self._codomain = codomain
        self._precision = precision

    def forward(self, u: Tensor) -> Tensor:
        """T u for u of shape (..., *domain.shape)."""
        return self._apply(self._pair.forward, u, self._domain, self._codomain)

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v for v of shape (..., *codomain.shape)."""
        return self._apply(self._pair.adjoint, v, self._codomain, self._domain)

    def _apply(
        self, function: Callable[[Array], Array], x: Tensor, source: Space, target: Space
    ) -> Tensor:
        leading = x.shape[: x.ndim - source.ndim]
        if x.numel() == 0:
            return x.new_zeros(*leading, *target.shape, dtype=_in_precision_of(x, target))
        batch = x.reshape(-1, *source.shape)
        values = function(to_array(batch, self._precision))
        return to_tensor(values, x, target).reshape(*leading, *target.shape)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class Foreign(LinearOperator):
    """A linear operator computed by another library.

    Values have the precision and the device of the argument; their accuracy is that of the library.
    Autograd takes T* as the transpose of the derivative, any number of times.

    Args:
        kernel: T and T* on tensors.
        domain: X, one sample.
        codomain: Y, one sample.
    """

    def __init__(self, kernel: Kernel, domain: Space, codomain: Space) -> None:
        super().__init__(domain, codomain)
        self.kernel = kernel

    def evaluate(self, u: Tensor) -> Tensor:
        return interrupted(apply_kernel, self.kernel, u)

    def evaluate_adjoint(self, v: Tensor) -> Tensor:
        return interrupted(apply_kernel_adjoint, self.kernel, v)


class Matrix(NamedTuple):
    """Protocol of objects that act as a matrix, common to SciPy and PyLops.

    Attributes:
        matmat: Product with the matrix, (n, k) to (m, k).
        rmatmat: Product with the conjugate transpose, (m, k) to (n, k).
    """

    matmat: Callable[[Array], Array]
    rmatmat: Callable[[Array], Array]


def from_matrix(
    matrix: Matrix, domain: Space, codomain: Space, precision: torch.dtype, name: str
) -> Foreign:
    """An operator that applies a matrix to samples as columns.

    Args:
        matrix: T and T* as products with columns.
        domain: Space of one image.
        codomain: Space of its data.
        precision: Precision in which the matrix computes.
        name: Name of the wrapped object, for messages.

    Raises:
        DtypeError, ShapeError, PropertyError: As for :func:`probe`.
    """

    def forward(u: Array) -> Array:
        return matrix.matmat(u.reshape(len(u), -1).T).T.reshape(-1, *codomain.shape)

    def adjoint(v: Array) -> Array:
        return matrix.rmatmat(v.reshape(len(v), -1).T).T.reshape(-1, *domain.shape)

    pair = ArrayPair(forward, adjoint)
    operator = Foreign(ArrayKernel(pair, domain, codomain, precision), domain, codomain)
    probe(operator, name)
    return operator
