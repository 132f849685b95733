"""Spectral initialisation of phase retrieval, against eigenvectors and where it leads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import learnedrecon as lr
from learnedrecon.models.start import AdjointImage, AutomaticStart, ZeroImage
from learnedrecon.solvers.direct.spectral import spectral_image

N, M = 6, 60


def random(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def matrix(dtype: torch.dtype) -> Tensor:
    return random(M, N, seed=0, dtype=dtype)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """|⟨a, b⟩|/(‖a‖‖b‖), which knows no phase."""
    return (a.conj() * b).sum(-1).abs() / (a.norm(dim=-1) * b.norm(dim=-1))


@pytest.mark.parametrize("kind", ["phase", "magnitude"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_it_is_the_leading_eigenvector(dtype: torch.dtype, kind: str) -> None:
    a = matrix(dtype)
    linear = lr.operators.MatrixOperator(a)
    operator = (
        lr.operators.PhaseRetrieval(linear)
        if kind == "phase"
        else lr.operators.Magnitude(linear, 1e-3)
    )
    truth = random(2, 1, N, seed=1, dtype=dtype)
    data = operator(truth)
    found = spectral_image(operator, data, 2000)
    for image, y in zip(found[:, 0], operator.intensity(data)[:, 0], strict=True):
        _, vectors = torch.linalg.eigh(a.mH @ (y[:, None] * a))
        assert float(overlap(image, vectors[:, -1])) == pytest.approx(1, abs=1e-6)
        seen = (a @ image).abs().square()
        assert float((seen * (seen - y)).sum()) == pytest.approx(0, abs=1e-8 * float(y @ y))
    assert bool((overlap(found, truth) > 0.6).all())


def test_descent_from_it_finds_the_image_that_descent_from_zero_does_not() -> None:
    operator = lr.operators.PhaseRetrieval(lr.operators.MatrixOperator(matrix(torch.complex128)))
    truth = random(1, 1, N, seed=3, dtype=torch.complex128)
    problem = lr.InverseProblem(operator, operator(truth))

    def descended(image: Tensor) -> Tensor:
        for _ in range(400):
            image = image - 4e-4 * problem.gradient(image)
        return image

    assert not bool(descended(ZeroImage()(problem)).any())
    assert float(overlap(descended(AutomaticStart()(problem)), truth)) > 1 - 1e-6
    torch.testing.assert_close(AdjointImage()(problem), AutomaticStart()(problem))


def test_samples_are_alone_and_scaled_operators_have_it_too() -> None:
    linear = lr.operators.MatrixOperator(matrix(torch.float64))
    operator = lr.operators.PhaseRetrieval(linear)
    data = operator(random(3, 1, N, seed=4, dtype=torch.float64))
    together = lr.solvers.pseudo_inverse(operator, data)
    alone = torch.cat([lr.solvers.pseudo_inverse(operator, one[None]) for one in data])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(lr.solvers.pseudo_inverse(4.0 * operator, 4.0 * data), together)


def test_a_learned_scheme_starts_from_it_and_moves() -> None:
    linear = lr.operators.MatrixOperator(matrix(torch.float64))
    operator = lr.operators.PhaseRetrieval(linear)
    data = operator(random(2, 1, N, seed=5, dtype=torch.float64))
    torch.manual_seed(0)
    model = lr.models.LearnedGradient(2, 2, 4, like=operator).double()
    image = model(lr.InverseProblem(operator, data)).image
    assert bool(image.flatten(1).any(1).all())
