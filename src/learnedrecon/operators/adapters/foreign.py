"""What the adapters share: a pair of functions on NumPy arrays as a linear operator of ours."""

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
    """float32 or float64: in what a library that declares ``dtype`` (None, integers) computes."""
    declared = np.dtype(np.float64 if dtype is None else dtype)
    narrow = np.result_type(declared, np.float32) in {np.dtype("f4"), np.dtype("c8")}
    return torch.float32 if narrow else torch.float64


def kind_of(dtype: Theirs) -> torch.dtype:
    """The type of torch for numbers that a library declares as ``dtype``."""
    precision = precision_of(dtype)
    is_complex = dtype is not None and np.issubdtype(np.dtype(dtype), np.complexfloating)
    return precision.to_complex() if is_complex else precision


def spaces_of(
    domain_shape: tuple[int, ...],
    codomain_shape: tuple[int, ...],
    declared: torch.dtype,
    dtype: torch.dtype | None,
) -> tuple[Space, Space]:
    """Domain of ``dtype``; a codomain that is complex where the domain or the operator is.

    Args:
        domain_shape: of one image.
        codomain_shape: of its data.
        declared: the type of the operator's own numbers.
        dtype: of the domain; ``declared`` unless given.
    """
    domain = Space(domain_shape, declared if dtype is None else dtype)
    kind = domain.dtype.to_complex() if declared.is_complex else domain.dtype
    return domain, Space(codomain_shape, kind)


def to_array(tensor: Tensor, precision: torch.dtype) -> Array:
    """The numbers of a tensor on the CPU, real or complex as they are, in the given precision."""
    kind = precision.to_complex() if tensor.is_complex() else precision
    return tensor.detach().cpu().to(kind).resolve_conj().resolve_neg().numpy()


def to_tensor(array: Array, like: Tensor, space: Space) -> Tensor:
    """A copy on the device and in the precision of ``like``; its real part in a real space."""
    if np.iscomplexobj(array) and not space.is_complex:
        array = np.real(array)
    return torch.from_numpy(np.array(array)).to(like.device, _in_precision_of(like, space))


def _in_precision_of(like: Tensor, space: Space) -> torch.dtype:
    kind = like.dtype.to_real()
    return kind.to_complex() if space.is_complex else kind


@uncompiled
def interrupted(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """A function outside compiled code, which would trace through the library's NumPy."""
    return function(*arguments)


class ArrayPair(NamedTuple):
    """T and T* on arrays.

    Attributes:
        forward: (batch, *domain.shape) to (batch, *codomain.shape).
        adjoint: back, exact for the unweighted inner product.
    """

    forward: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]


class ArrayKernel:
    """A pair on arrays as one on tensors; the pair is shared by copies and never moved.

    Args:
        pair: T and T*.
        domain: one image.
        codomain: its data.
        precision: float32 or float64, in which the pair computes.
    """

    def __init__(
        self, pair: ArrayPair, domain: Space, codomain: Space, precision: torch.dtype
    ) -> None:
        self._pair = pair
        self._domain = domain
        self._codomain = codomain
        self._precision = precision

    def forward(self, u: Tensor) -> Tensor:
        """T u for (..., *domain.shape)."""
        return self._apply(self._pair.forward, u, self._domain, self._codomain)

    def adjoint(self, v: Tensor) -> Tensor:
        """T* v for (..., *codomain.shape)."""
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
    """A linear operator whose arithmetic is another library's.

    Values have the precision and the device of the argument; how exact they are is a matter of the
    library. Autograd sees T* as the derivative's transpose, any number of times.

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
    """What acts like a matrix: the interface that SciPy and PyLops share.

    Attributes:
        matmat: (n, k) to (m, k).
        rmatmat: (m, k) to (n, k), by the conjugate transposed.
    """

    matmat: Callable[[Array], Array]
    rmatmat: Callable[[Array], Array]


def from_matrix(
    matrix: Matrix, domain: Space, codomain: Space, precision: torch.dtype, name: str
) -> Foreign:
    """An operator whose samples are the columns that a matrix is applied to.

    Args:
        matrix: T and T*.
        domain: one image.
        codomain: its data.
        precision: in which the matrix computes.
        name: of what is wrapped, for messages.

    Raises:
        DtypeError, ShapeError, PropertyError: as for :func:`probe`.
    """

    def forward(u: Array) -> Array:
        return matrix.matmat(u.reshape(len(u), -1).T).T.reshape(-1, *codomain.shape)

    def adjoint(v: Array) -> Array:
        return matrix.rmatmat(v.reshape(len(v), -1).T).T.reshape(-1, *domain.shape)

    pair = ArrayPair(forward, adjoint)
    operator = Foreign(ArrayKernel(pair, domain, codomain, precision), domain, codomain)
    probe(operator, name)
    return operator
