"""Numerical checks of a certificate's assumptions on the operator: adjoint, norm, eigenvalues."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator

_POWERS = 20
_BASIS = 40
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-5}


class Evidence(NamedTuple):
    """Numerical evidence about T from its applications, which is not a proof.

    Attributes:
        defect: Largest |⟨Tu, v⟩ - ⟨u, T*v⟩| / (‖Tu‖‖v‖) over random pairs and v = Tu.
        norm: Largest ‖Tu‖/‖u‖, a lower bound of ‖T‖ that does not depend on the adjoint.
        smallest: Smallest ‖Tu‖²/‖u‖², an upper bound of λ_min(T*T).
        tolerance: Relative error that rounding in the precision of T explains.
    """

    defect: float
    norm: float
    smallest: float
    tolerance: float


@torch.no_grad()
def examine(operator: LinearOperator, *, seed: int = 0) -> Evidence:
    """Numerical evidence from T and T* on random elements, by power iteration and Lanczos.

    Args:
        operator: T, in its own precision.
        seed: Seed of the random elements.

    Returns:
        Evidence; where samples have tensors of their own, the worst of them.
    """
    generator = torch.Generator().manual_seed(seed)
    device = next((b.device for b in operator.buffers()), torch.device("cpu"))
    u = operator.domain.random(generator, (), "cpu").to(device)
    pairs = [(u, operator.codomain.random(generator, (), "cpu").to(device)) for _ in range(3)]
    pairs.append((u, operator(u)))
    largest = [_gains(operator, x).max() for x in _growing(operator, u)]
    start = operator.domain.random(generator, (), "cpu").to(device)
    least = _gains(operator, _least(operator, start)).min()
    if _has_null_space(operator):
        least = torch.zeros_like(least)
    return Evidence(
        defect=max(_defect(operator, *pair) for pair in pairs),
        norm=float(torch.stack(largest).max()),
        smallest=float(least) ** 2,
        tolerance=_ROUNDING[operator.domain.dtype.to_real()],
    )


def _defect(operator: LinearOperator, u: Tensor, v: Tensor) -> float:
    forward, backward = operator(u), operator.adjoint(v)
    there = inner(forward, v, operator.codomain.ndim).double()
    back = inner(u, backward, operator.domain.ndim).double()
    size = _norms(forward, operator.codomain.ndim) * _norms(v, operator.codomain.ndim)
    gap = (there - back).abs() / torch.where(size > 0, size, torch.ones_like(size))
    return float(gap.max())


def _norms(x: Tensor, axes: int) -> Tensor:
    return inner(x, x, axes).double().sqrt()


def _gains(operator: LinearOperator, x: Tensor) -> Tensor:
    """‖Tx‖/‖x‖ of every sample."""
    size = _norms(x, operator.domain.ndim)
    image = _norms(operator(x), operator.codomain.ndim)
    return image / torch.where(size > 0, size, torch.ones_like(size))


def _growing(operator: LinearOperator, x: Tensor) -> Iterator[Tensor]:
    """A constant and what power iteration makes of a random element."""
    yield torch.ones_like(x)
    axes = operator.domain.ndim
    for _ in range(_POWERS):
        yield x
        x = operator.adjoint(operator(x))
        size = _norms(x, axes).to(x.dtype)
        x = x / torch.where(size != 0, size, torch.ones_like(size))[(..., *[None] * axes)]


def _least(operator: LinearOperator, x: Tensor) -> Tensor:
    """The vector of the smallest Ritz value of T*T in a Krylov space, orthogonalised twice."""
    axes = x.ndim
    basis = [x / inner(x, x, axes).sqrt()]
    images = []
    for _ in range(min(_BASIS, operator.domain.size)):
        image = operator.adjoint(operator(basis[-1]))
        if image.ndim > axes:  # samples of their own: the first stands for all
            image = image.reshape(-1, *operator.domain.shape)[0]
        images.append(image)
        rest = image
        for _ in range(2):
            for one in basis:
                rest = rest - inner(one, rest, axes) * one
        size = inner(rest, rest, axes).sqrt()
        if not size > 1e-8 * inner(image, image, axes).sqrt():
            break
        basis.append(rest / size)
    known = basis[: len(images)]
    matrix = torch.stack([torch.stack([inner(a, b, axes) for b in images]) for a in known])
    weights = torch.linalg.eigh((matrix + matrix.T).double() / 2)[1][:, 0].tolist()
    return torch.stack([w * one for w, one in zip(weights, known, strict=True)]).sum(0)


def _has_null_space(operator: LinearOperator) -> bool:
    """True if T has fewer real numbers out than in."""
    sizes = [
        space.size * (2 if space.is_complex else 1)
        for space in (operator.domain, operator.codomain)
    ]
    return sizes[1] < sizes[0]
