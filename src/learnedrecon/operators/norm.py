"""Operator norms by power iteration and by Lanczos, from T and T* alone.

Where samples have tensors of their own, every sample has its own norm, which does not depend on the
others in its batch: all are estimated at once, and each stops when it has converged.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from learnedrecon.operators.leading import Norm, largest
from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from learnedrecon.operators.space import Space

UNCERTIFIED_MARGIN = 1.05
_GUESSED = 4


class LinearMap(Protocol):
    """Protocol of operators whose norm can be estimated.

    Attributes:
        domain: Space of images.
        codomain: Space of data.
    """

    domain: Space
    codomain: Space

    def __call__(self, u: Tensor, /) -> Tensor:
        """T u."""
        ...

    def adjoint(self, v: Tensor, /) -> Tensor:
        """T*v."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """The tensors of T."""
        ...

    def norm(self) -> Norm:
        """‖T‖."""
        ...

    def norm_bound(self) -> Norm | None:
        """A bound of ‖T‖."""
        ...


class PowerResult(NamedTuple):
    """Estimate of an operator norm, with its iterations and convergence.

    Attributes:
        norm: Estimate of ‖T‖. It is a lower bound: ‖T x‖ for a unit vector x.
        iterations: Number of applications of T*T.
        converged: True where the estimate of every sample has converged.
    """

    norm: Norm
    iterations: int
    converged: bool


def estimated_norm(operator: LinearMap) -> Norm:
    """The estimate of :func:`power_iteration`, with a logged warning if it has not converged.

    Args:
        operator: T.
    """
    return require_settled(power_iteration(operator), type(operator).__name__)


def require_settled(result: PowerResult, name: str) -> Norm:
    """The norm of a result, with a logged warning if it has not converged.

    Args:
        result: Estimate of the norm.
        name: Name of the operator, for the warning.
    """
    if not result.converged:
        logging.getLogger("learnedrecon").warning(
            "The norm of %s has not settled after %d iterations; %g is a lower bound of it.",
            name,
            result.iterations,
            largest(result.norm),
        )
    return result.norm


@torch.no_grad()
def power_iteration(
    operator: LinearMap, *, tolerance: float = 1e-7, iterations: int = 300, seed: int = 0
) -> PowerResult:
    """Estimate of ‖T‖ = sqrt(λ_max(T*T)) by x ← T*T x / ‖T*T x‖ in float64.

    Args:
        operator: T.
        tolerance: Relative difference of two successive estimates at which the iteration stops.
        iterations: Largest number of applications of T*T.
        seed: Seed of the starting vector, which is the same for all samples and in every call.
    """
    return _powers(operator, tolerance, iterations, seed)[0]


def _powers(
    operator: LinearMap, tolerance: float, iterations: int, seed: int
) -> tuple[PowerResult, Tensor]:
    """The result of :func:`power_iteration`, and its unit vectors."""
    axes = operator.domain.ndim
    x = _start(operator, seed)
    estimates = torch.zeros((), dtype=torch.float64, device=x.device)
    settled = torch.zeros((), dtype=torch.bool, device=x.device)
    number = 0
    while number < iterations:
        number += 1
        image = operator.adjoint(operator(x)).to(x.dtype)
        lengths = inner(image, image, axes).sqrt()
        moved = image / torch.where(lengths > 0, lengths, 1.0)[(..., *[None] * axes)]
        x = torch.where(settled[(..., *[None] * axes)], x, moved)
        previous, estimates = estimates, torch.where(settled, estimates, lengths.sqrt())
        settled = settled | ((estimates - previous).abs() <= tolerance * estimates)
        if bool(settled.all()):
            break
    return PowerResult(_plain(estimates), number, converged=bool(settled.all())), x


def differentiable(operator: LinearMap, norm: Norm) -> Tensor:
    """‖T‖ as a tensor with its derivative in the tensors of T, that of ‖Tv‖ at its singular vector.

    Where the largest singular value is a multiple one, the derivative is one-sided.

    Args:
        operator: T, with tensors that require gradients.
        norm: Value of ‖T‖.
    """
    with torch.no_grad():
        _, vector = _powers(operator, 1e-12, 1000, seed=0)
    image = operator(vector)
    value = inner(image, image, operator.codomain.ndim).sqrt()
    return value - value.detach() + norm


@torch.no_grad()
def lanczos_norm(
    operator: LinearMap,
    *,
    tolerance: float = 1e-5,
    iterations: int = 100,
    seed: int = 0,
    bound: Tensor | None = None,
    guess: Tensor | None = None,
) -> PowerResult:
    """Estimate of ‖T‖ by the three-term recurrence of Lanczos on T*T, in float64.

    The slices of a volume are nearly independent in T, so that T*T has many eigenvalues close to
    the largest, so that power iteration takes hundreds of steps where Lanczos takes tens. Only
    three vectors are stored. The basis therefore loses its orthogonality, which gives copies of
    eigenvalues but no wrong ones (Paige, Lin. Alg. Appl. 34, 1980).

    Args:
        operator: T.
        tolerance: Relative distance from a singular value, by the residual, at which the iteration
            stops; the relative error of the norm is about its square.
        iterations: Largest number of applications of T*T.
        seed: Seed of the starting vector, which is the same for all samples and in every call.
        bound: Upper bounds of the norms, (*lead). A sample whose estimate is within ``tolerance``
            of its bound takes the bound, as ‖T‖ is then known.
        guess: Image (*domain.shape) near the singular vectors of samples that reach their bounds; a
            thousandth of a random one is added to it. It starts the first four applications.
            Samples that do not reach their bounds in these start again with a random vector, as the
            guess may be nearly orthogonal to their largest singular vectors.

    Returns:
        Estimate, a lower bound except for samples that took their upper bounds.
    """
    start = _start(operator, seed)
    if guess is None or bound is None:
        return _recurrence(operator, start, _Tridiagonal(tolerance, bound), iterations)
    near = guess.to(start) / guess.norm() + 1e-3 * start
    near = near / inner(near, near, near.ndim).sqrt()
    first = _recurrence(operator, near, _Tridiagonal(tolerance, bound), _GUESSED)
    norms = torch.as_tensor(first.norm, dtype=torch.float64)
    reached = norms >= bound.cpu() * (1 - tolerance)
    if bool(reached.all()):
        return first
    again = _recurrence(operator, start, _Tridiagonal(tolerance, bound), iterations)
    merged = torch.where(reached, norms, torch.as_tensor(again.norm, dtype=torch.float64))
    return PowerResult(_plain(merged), first.iterations + again.iterations, again.converged)


def _recurrence(
    operator: LinearMap, current: Tensor, run: _Tridiagonal, iterations: int
) -> PowerResult:
    """Lanczos from the unit vector ``current`` until every sample has settled."""
    axes = operator.domain.ndim
    device = current.device
    previous = torch.zeros_like(current)
    for k in range(1, iterations + 1):
        following = operator.adjoint(operator(current)).to(current.dtype)
        following = following - run.last_off(device, axes) * previous
        run.diagonal.append(inner(following, current, axes).cpu())
        following -= run.diagonal[-1].to(device)[(..., *[None] * axes)] * current
        run.off.append(inner(following, following, axes).sqrt().cpu())
        if run.settle():
            return PowerResult(run.norms(), k, converged=True)
        previous, current = current, following / run.last_off(device, axes, least=1e-300)
    return PowerResult(run.norms(), iterations, converged=False)


class _Tridiagonal:
    """The tridiagonal matrix of every sample, and the norms of those that have settled."""

    def __init__(self, tolerance: float, bound: Tensor | None) -> None:
        self.tolerance = tolerance
        self.bound = None if bound is None else bound.cpu()
        self.diagonal: list[Tensor] = []
        self.off = [torch.zeros((), dtype=torch.float64)]
        self.squares = torch.zeros((), dtype=torch.float64)
        self.settled = torch.zeros((), dtype=torch.bool)

    def last_off(self, device: torch.device, axes: int, least: float = 0.0) -> Tensor:
        """The last entry beside the diagonal, (*lead, 1, ...)."""
        return self.off[-1].clamp(min=least).to(device)[(..., *[None] * axes)]

    def settle(self) -> bool:
        """Takes the norm of every sample whose residual is small; whether all have settled."""
        value, share = self._largest()
        now = self.off[-1] * share <= 2 * self.tolerance * value
        squares = value.clamp(min=0)
        if self.bound is not None:
            known = squares.sqrt() >= self.bound * (1 - self.tolerance)
            squares, now = torch.where(known, self.bound.square(), squares), now | known
        self.squares = torch.where(self.settled, self.squares, squares)
        self.settled = self.settled | now
        return bool(self.settled.all())

    def norms(self) -> Norm:
        """The norm of every sample, as far as it is known."""
        return self.squares.sqrt() if self.squares.ndim else float(self.squares) ** 0.5

    def _largest(self) -> tuple[Tensor, Tensor]:
        """The largest eigenvalue, and the last entry of its unit vector."""
        size, lead = len(self.diagonal), self.diagonal[-1].shape
        matrix = np.zeros((*lead, size, size))
        for k, entry in enumerate(self.diagonal):
            matrix[..., k, k] = entry.numpy()
        for k, entry in enumerate(self.off[1:-1]):
            matrix[..., k, k + 1] = matrix[..., k + 1, k] = entry.numpy()
        values, vectors = np.linalg.eigh(matrix)
        return (
            torch.from_numpy(np.asarray(values[..., -1])),
            torch.from_numpy(np.asarray(np.abs(vectors[..., -1, -1]))),
        )


def upper_norm(operator: LinearMap) -> float:
    """An upper bound of ‖T‖, for step sizes that are the same for all samples.

    The operator's own bound, or where it has none its estimate times 1.05, which is logged: power
    iteration approaches the norm from below, at best to its tolerance.

    Args:
        operator: T.
    """
    bound = operator.norm_bound()
    if bound is not None:
        return largest(bound)
    estimate = largest(operator.norm())
    logging.getLogger("learnedrecon").info(
        "%s knows no bound of its norm; %g times the estimate %g is used instead.",
        type(operator).__name__,
        UNCERTIFIED_MARGIN,
        estimate,
    )
    return UNCERTIFIED_MARGIN * estimate


@torch.no_grad()
def non_negative_norm_bound(
    operator: LinearMap, *, tolerance: float = 1e-3, iterations: int = 100
) -> float:
    """An upper bound of ‖T‖ for a T without negative entries, by Collatz and Wielandt.

    For A = T*T and any x > 0, λ_max(A) ≤ max_i (Ax)_i/x_i (Horn, Johnson, Matrix Analysis, theorem
    8.1.26), with i over the columns of T that are not zero. x comes from power iteration in float64
    and is kept positive; the smallest bound is returned, and ‖Tx‖/‖x‖ is the lower bound.

    Args:
        operator: Real T, all of whose entries are ≥ 0, the same for all samples; this is not
            checked.
        tolerance: Relative distance of both bounds at which the iteration stops.
        iterations: Largest number of applications of T*T.
    """
    x = torch.ones(operator.domain.shape, dtype=torch.float64, device=_device(operator))
    image = operator.adjoint(operator(x))
    seen = image > 0  # the columns that are not zero
    upper = float("inf")
    for _ in range(iterations):
        ratio = torch.where(seen, image / x, 0)
        upper = min(upper, float(ratio.max()))
        lower = float((x * image).sum() / x[seen].square().sum()) if bool(seen.any()) else 0.0
        if upper - lower <= 2 * tolerance * upper:
            break
        x = (image / image.max()).clamp(min=1e-12)
        x = torch.where(seen, x, 1.0)
        image = operator.adjoint(operator(torch.where(seen, x, 0)))
    return (upper * (1 + 1e-9)) ** 0.5  # 1e-9: sums are rounded


class Memory:
    """Cache of norms by the content of the tensors they depend on.

    Args:
        most: Largest number of norms in the cache; the least recently used one is removed first.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def clear(self) -> None:
        """Removes all norms."""
        self._known.clear()

    def recall(
        self, keys: Sequence[bytes], compute: Callable[[list[int]], Sequence[float]]
    ) -> list[float]:
        """The norms of some samples, from the cache or computed.

        Args:
            keys: Digest of each sample, as of :func:`content_of`.
            compute: Function that returns the norms of the samples of the given numbers, for those
                not in the cache.
        """
        firsts = {key: k for k, key in reversed(list(enumerate(keys)))}
        missing = sorted(k for key, k in firsts.items() if key not in self._known)
        computed = compute(missing) if missing else ()
        found = dict(zip([keys[k] for k in missing], computed, strict=True))
        values = [found[key] if key in found else self._known[key] for key in keys]
        self._known.update(found)
        for key in firsts:
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return values


def content_of(*parts: object) -> bytes:
    """A digest of plain values and of the numbers in tensors.

    Args:
        parts: Plain values and tensors.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Tensor):
            plain = part.detach().resolve_conj().resolve_neg().cpu().contiguous()
            digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            digest.update(plain.numpy().tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b";")
    return digest.digest()


def _start(operator: LinearMap, seed: int) -> Tensor:
    """A random unit vector in double precision, without leading axes."""
    space = operator.domain
    wide = torch.complex128 if space.is_complex else torch.float64
    generator = torch.Generator().manual_seed(seed)
    start = space.random(generator).to(_device(operator), wide)
    return start / inner(start, start, start.ndim).sqrt()


def _device(operator: LinearMap) -> torch.device:
    return next((b.device for b in operator.buffers()), torch.device("cpu"))


def _plain(norms: Tensor) -> Norm:
    """One number where there is one for all samples."""
    return norms if norms.ndim else float(norms)
