"""Certificates of optimality for total variation reconstruction.

The primal and the dual problem, with K = T and ∇, over images u (real, real with u ≥ 0, or complex;
inner products are Re⟨·,·⟩):

    P(u)    = ½‖Tu - y‖² + α Σ_i |(∇u)_i|₂                            to be minimised,
    D(p, q) = -½‖p‖² - ⟨p, y⟩  where |q_i|₂ ≤ α and T*p + ∇*q = 0     to be maximised
              (≥ 0 instead of = 0 if u ≥ 0 is demanded).

For feasible (p, q), D(p, q) ≤ min P, so P(u) - D(p, q) bounds P(u) - min P. Iterates of a
primal-dual method satisfy the constraint only in the limit;
:meth:`OptimalityCertificate.feasible_dual` maps them to feasible points. All computations are in
double precision, so that a certificate holds up to its rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space, inner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from learnedrecon.operators.linear import LinearOperator

_NEWTON_STEPS = 50


class DualPoint(NamedTuple):
    """A dual point (p, q) with |q| ≤ α, in double precision.

    Attributes:
        p: Dual variable of T, (image, *codomain).
        q: Dual variable of ∇, (image, axis, *domain).
    """

    p: Tensor
    q: Tensor


class _Constant(NamedTuple):
    """An image 1 or i·1, T of it, and T*T of it."""

    image: Tensor
    data: Tensor
    back: Tensor


class OptimalityCertificate:
    """Primal and dual objectives P and D of one operator.

    Args:
        operator: T, linear.
        nonnegative: True for the constraint u ≥ 0, for real images only.
        shared: True where T is the same for all images, False for one T per image.
    """

    def __init__(self, operator: LinearOperator, *, nonnegative: bool, shared: bool = True) -> None:
        self.operator = operator
        self.nonnegative = nonnegative
        self.shared = shared
        self.axes = operator.domain.ndim
        kind = torch.complex128 if operator.domain.is_complex else torch.float64
        self.difference = FiniteDifference(Space(operator.domain.shape, kind))
        self._constants: list[_Constant] = []

    def primal(self, u: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """P(u) of every image, (image,), float64.

        Args:
            u: Images, (image, *domain).
            y: Data, (image, *codomain).
            weight: α of each image, (image,).
        """
        u, y, weight = wide(u), wide(y), weight.double()
        residual = self.operator(u) - y
        variation = self._lengths(self.difference(u)).flatten(1).sum(1)
        return 0.5 * inner(residual, residual, y.ndim - 1) + weight * variation

    def dual(self, point: DualPoint, y: Tensor) -> Tensor:
        """D(p, q) of every image at a feasible point, (image,), float64."""
        axes = y.ndim - 1
        return -0.5 * inner(point.p, point.p, axes) - inner(point.p, y, axes)

    def feasible_dual(self, p: Tensor, q: Tensor, y: Tensor, weight: Tensor) -> DualPoint:
        """A feasible dual point near (p, q).

        With r = T*p + ∇*q, which should be 0 (or ≥ 0), there are three corrections:

        1. ∇* has no part in the mean, so p moves along T1 until r has mean 0 (≥ 0).
        2. The rest is taken by q: q ← q - ∇(∇*∇)⁻¹ρ, so that ∇*q falls by ρ. Here ρ = r; or, if
           r ≥ 0 is enough, ρ = min(r, θ) with the θ ≥ 0 that gives it mean 0, so that what is left,
           (r - θ)₊, is not negative. The Poisson equation is solved by the cosine transform.
        3. (p, q) is multiplied by the s ≥ 0 that maximises D under s·max|q_i| ≤ α.

        Args:
            p: Dual variable of T, (image, *codomain).
            q: Dual variable of ∇, (image, axis, *domain).
            y: Data, (image, *codomain).
            weight: α of each image, (image,).
        """
        p, q, y, weight = (wide(tensor) for tensor in (p, q, y, weight))
        p, r = self._balance(p, q)
        q = q - self.difference(solve_poisson(self._excess(r), self.axes))
        largest = self._lengths(q).flatten(1).amax(1)
        linear, square = -inner(p, y, y.ndim - 1), inner(p, p, y.ndim - 1)
        best = torch.where(square > 0, linear / square, 0).clamp(min=0)
        scale = torch.where(best * largest > weight, weight / largest, best)
        return DualPoint(_over(scale, p) * p, _over(scale, q) * q)

    def _balance(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Repair 1: the new p, and r."""
        r = self.operator.adjoint(p) + self.difference.adjoint(q)
        constants = self._of_constants(r)
        for constant, step in zip(constants, self._steps(r, constants), strict=True):
            p = p - _over(step, p) * constant.data
            r = r - _over(step, r) * constant.back
        return p, r

    def _of_constants(self, r: Tensor) -> list[_Constant]:
        """1 (and i) with their data; computed once where T is the same for all images."""
        if self._constants:
            return self._constants
        ones = torch.ones_like(r[:1] if self.shared else r)
        units = (ones, 1j * ones) if r.is_complex() else (ones,)
        data = [self.operator(unit) for unit in units]
        found = [
            _Constant(a, b, self.operator.adjoint(b)) for a, b in zip(units, data, strict=True)
        ]
        if self.shared:
            self._constants = found
        return found

    def _steps(self, r: Tensor, constants: Sequence[_Constant]) -> list[Tensor]:
        """The steps of p along every image T1 (and T(i·1)) that remove the mean of r."""
        images = [constant.data for constant in constants]
        axes = images[0].ndim - 1
        totals = [inner(constant.image, r, self.axes) for constant in constants]
        if len(constants) == 1:
            energy = inner(images[0], images[0], axes)
            wanted = totals[0].clamp(max=0) if self.nonnegative else totals[0]
            return [torch.where(energy > 0, wanted / energy, 0)]
        gram = torch.stack(
            [torch.stack([inner(a, b, axes) for b in images], -1) for a in images], -2
        )
        steps = torch.linalg.pinv(gram, hermitian=True) @ torch.stack(totals, -1).unsqueeze(-1)
        return list(steps.squeeze(-1).unbind(-1))

    def _excess(self, r: Tensor) -> Tensor:
        """Repair 2: ρ, of mean 0."""
        if self.nonnegative:
            r = torch.minimum(r, _over(_water_level(r.flatten(1)), r))
        mean = r.flatten(1).mean(1)
        return r - _over(mean, r)

    def _lengths(self, slopes: Tensor) -> Tensor:
        return slopes.abs().square().sum(-self.axes - 1).sqrt()


def wide(tensor: Tensor) -> Tensor:
    """A tensor in double precision, real or complex.

    Args:
        tensor: Tensor of floats.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float64))


def _water_level(r: Tensor) -> Tensor:
    """The θ ≥ 0 with Σ min(r, θ) = 0 in every row; a row of mean 0 or less gets its maximum.

    The sum is concave, increasing and piecewise linear in θ, so Newton's method from θ = 0 reaches
    the root from the left in finitely many steps.
    """
    level = r.new_zeros(len(r), 1)
    for _ in range(_NEWTON_STEPS):
        missing = -torch.minimum(r, level).sum(1, keepdim=True)
        above = (r > level).sum(1, keepdim=True)
        step = torch.where(above > 0, missing.clamp(min=0) / above.clamp(min=1), 0)
        if not bool((step > 1e-15 * level).any()):
            break
        level = level + step
    return level[:, 0]


def solve_poisson(r: Tensor, axes: int) -> Tensor:
    """The solution φ of ∇*∇φ = r with mean 0, for r of mean 0 over the last ``axes`` axes.

    ∇*∇ has Neumann borders: an even extension makes it a convolution, with the eigenvalues
    Σ_a 4 sin²(πk_a/(2n_a)).

    Args:
        r: Right side, (..., *space), of mean 0.
        axes: Number of axes of ``space``.
    """
    if r.is_complex():
        return torch.complex(solve_poisson(r.real, axes), solve_poisson(r.imag, axes))
    shape = r.shape[-axes:]
    dims = tuple(range(-axes, 0))
    even = r
    for dim in dims:
        even = torch.cat([even, even.flip(dim)], dim)
    spectrum = torch.fft.rfftn(even, dim=dims)
    eigenvalues = torch.zeros((), dtype=r.dtype, device=r.device)
    for position, n in enumerate(shape):
        k = torch.arange(spectrum.shape[position - axes], dtype=r.dtype, device=r.device)
        part = 4 * torch.sin(torch.pi * k / (2 * n)).square()
        eigenvalues = eigenvalues + part.view(-1, *([1] * (axes - 1 - position)))
    inverse = torch.where(eigenvalues > 0, 1 / eigenvalues, 0)
    inverse.view(-1)[0] = 0
    phi = torch.fft.irfftn(spectrum * inverse, s=even.shape[-axes:], dim=dims)
    return phi[(..., *(slice(0, n) for n in shape))]


def _over(numbers: Tensor, like: Tensor) -> Tensor:
    """(image,) to (image, 1, ..., 1)."""
    return numbers.view(-1, *([1] * (like.ndim - 1)))
