"""The norm of an operator; needs nothing but T and T*.

Where samples have tensors of their own, every sample has a norm of its own, which does not depend
on the others in its batch: all are estimated at once, and each stops when it has settled.
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
    """What a norm needs of an operator."""

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
    """How an estimate of a norm ended.

    Attributes:
        norm: the estimate of ‖T‖. It is a lower bound: ‖T x‖ for a unit vector x.
        iterations: the number of applications of T*T.
        converged: whether the estimate of every sample has settled.
    """

    norm: Norm
    iterations: int
    converged: bool


def estimated_norm(operator: LinearMap) -> Norm:
    """The estimate of :func:`power_iteration`, with a warning in the log if it has not settled."""
    return require_settled(power_iteration(operator), type(operator).__name__)


def require_settled(result: PowerResult, name: str) -> Norm:
    """The norm of a result, with a warning in the log if it has not settled."""
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
    """Estimates ‖T‖ = sqrt(λ_max(T*T)) by x ← T*T x / ‖T*T x‖ in float64.

    Args:
        operator: T.
        tolerance: stop once two estimates in a row agree to this relative accuracy.
        iterations: stop after this many applications of T*T.
        seed: Seed of the starting vector, so that the result is the same every time; all samples
            start with the same one.
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
    """‖T‖ with its derivative in the tensors of T: that of ‖Tv‖ at the singular vector v.

    Where the largest singular value is a multiple one, it is a derivative from one side.

    Args:
        operator: T, of tensors that require gradients.
        norm: its norm, whose value is kept.
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
    """Estimates ‖T‖ by the three-term recurrence of Lanczos on T*T, in float64.

    The slices of a volume are nearly independent in T, so that T*T has many eigenvalues close to
    the largest, and power iteration needs hundreds of steps where this needs tens. It keeps three
    volumes; the basis loses its orthogonality, which brings copies of eigenvalues but no wrong ones
    (Paige, Lin. Alg. Appl. 34, 1980).

    Args:
        operator: T.
        tolerance: stop once a singular value lies within this relative distance, by the residual;
            the error is about its square.
        iterations: stop after this many applications of T*T.
        seed: Seed of the starting vector, so that the result is the same every time; all samples
            start with the same one.
        bound: (*lead), upper bounds of the norms. A sample whose estimate is within ``tolerance``
            of its own takes it, as ‖T‖ is known then.
        guess: an image, (*domain.shape), near the singular vectors of samples that reach their
            bounds, with a thousandth of a random one added. It starts the first four applications;
            samples that do not reach their bounds in these start again at random, as it may be
            nearly orthogonal to their largest singular vectors.

    Returns:
        The estimate, a lower bound but for samples that took theirs.
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
    """‖T‖ from above, for step sizes that are the same for all samples.

    The operator's own bound, or where it knows none its estimate times 1.05, with a line in the log
    that says so: power iteration approaches the norm from below, at best to its tolerance.
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
    8.1.26), with i over the columns of T that are not zero. x comes from power iteration in
    float64, kept positive, and the smallest bound counts; ‖Tx‖/‖x‖ is the one from below.

    Args:
        operator: T, real, all of whose entries are ≥ 0, the same for all samples; this is not
            checked.
        tolerance: stop once both bounds agree to this relative accuracy.
        iterations: stop after this many applications of T*T.
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
    """Norms by the content of the tensors they belong to, so that none is estimated twice.

    Args:
        most: how many are kept; the one that was longest not asked for goes first.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()

    def recall(
        self, keys: Sequence[bytes], compute: Callable[[list[int]], Sequence[float]]
    ) -> list[float]:
        """The norms of some samples.

        Args:
            keys: one for each sample, see :func:`content_of`.
            compute: the norms of the samples of these numbers, which are not known yet.
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
    """A digest of plain values and of the numbers in tensors."""
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
