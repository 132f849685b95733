"""One norm for every sample: remembered by content, true after changes, differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import largest_singular_value
from torch import Tensor

from learnedrecon.operators.matrix import MatrixOperator
from learnedrecon.operators.mri import cartesian
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_blocks import smooth_image
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.norm import PowerResult, lanczos_norm
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import inner

if TYPE_CHECKING:
    from typing import Any

    from learnedrecon.operators.leading import Norm
    from learnedrecon.operators.linear import LinearOperator

DOUBLE = torch.float64
RAY = RayTransform(ParallelBeam((6, 7), AngleRange(5), FlatDetector(11)), DOUBLE)


def value(norm: Norm) -> float:
    return float(torch.as_tensor(norm, dtype=DOUBLE).detach())


def sense(samples: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(samples, 1, 3, 12, 12, dtype=torch.complex128, generator=generator)
    maps = maps / maps.abs().square().sum(2, keepdim=True).sqrt()
    maps = maps * torch.linspace(0.5, 1, samples, dtype=DOUBLE)[:, None, None, None, None]
    mask = torch.rand(samples, 1, 1, 1, 12, generator=generator) < 0.4
    mask[..., 4:8] = True
    return {"maps": maps, "mask": mask}


def test_a_sample_does_not_see_its_neighbours() -> None:
    """Maps of unequal size: the largest norm of a batch is that of one sample alone."""
    plain = CartesianMRI(Cartesian((12, 12), coils=3), dtype=torch.complex128)
    tensors = sense(3)
    norms = plain.with_tensors(tensors).norm()
    assert isinstance(norms, Tensor)
    for k in range(3):
        single = {name: tensor[k, 0] for name, tensor in tensors.items()}
        single["mask"] = single["mask"][0]
        assert float(norms[k, 0]) == pytest.approx(
            largest_singular_value(plain.with_tensors(single)), rel=1e-5
        )


def test_no_mask_is_met_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(operator: LinearOperator, **options: Any) -> PowerResult:
        found = lanczos_norm(operator, **options)
        sizes.append(len(torch.as_tensor(found.norm)))
        return found

    monkeypatch.setattr(cartesian, "lanczos_norm", counted)
    plain = CartesianMRI(Cartesian((12, 12), coils=3), dtype=torch.complex128)
    tensors = sense(4, seed=7)
    whole = plain.with_tensors(tensors).norm()
    again = plain.with_tensors({name: t.flip(0).clone() for name, t in tensors.items()}).norm()
    assert isinstance(whole, Tensor)
    assert isinstance(again, Tensor)
    assert torch.equal(whole, again.flip(0))
    assert sizes == [4]
    tensors["mask"][2, ..., 4] = False
    plain.with_tensors(tensors).norm()
    assert sizes == [4, 1]


def test_a_measured_centre_takes_two_applications() -> None:
    """The bound 1 of normalised maps is reached by an image whose spectrum is in the centre."""
    plain = CartesianMRI(Cartesian((48, 48), coils=2), dtype=torch.complex128)
    smooth = torch.exp(1j * torch.linspace(0, 1, 48, dtype=DOUBLE))[None, :, None]
    maps = torch.stack([smooth, smooth.conj()]).reshape(2, 48, 1).expand(2, 48, 48) / 2**0.5
    mask = torch.zeros(3, 1, 1, 1, 48, dtype=torch.bool)
    mask[..., 18:30] = True
    mask[0, ..., ::5] = True
    operator = plain.with_tensors({"maps": maps, "mask": mask})
    bound = operator.norm_bound()
    assert isinstance(bound, Tensor)
    found = lanczos_norm(operator, bound=bound, guess=smooth_image((48, 48)))
    assert found.iterations <= 2
    torch.testing.assert_close(operator.norm(), bound, rtol=0, atol=0)


@pytest.mark.parametrize("samples", [0, 2])
def test_crowded_singular_values_take_few_applications(samples: int) -> None:
    """Rows that A*A does not mix, each a dense matrix; the whole has a hundred values near 1."""
    size, lines = 32, torch.tensor([2, 9, 16, 17, 23, 31])
    mask = torch.zeros(size, dtype=torch.bool)
    mask[lines] = True
    places = torch.linspace(-1, 1, size, dtype=DOUBLE)
    maps = torch.stack(
        [torch.exp(-((places[:, None] - x) ** 2) - (places - x) ** 2) for x in (-1, 1)]
    )
    maps = (maps / maps.square().sum(0).sqrt()).to(torch.complex128)
    plain = CartesianMRI(Cartesian((size, size), coils=2), mask, maps, torch.complex128)
    centred = torch.arange(size, dtype=DOUBLE) - size // 2
    phase = -2j * torch.pi / size * centred[lines, None] * centred
    fourier = torch.exp(phase) / size**0.5
    blocks = (fourier * maps.permute(1, 0, 2)[:, :, None, :]).reshape(size, -1, size)
    exact = float(torch.linalg.matrix_norm(blocks, 2).max())
    operator = plain
    if samples:
        other = mask.roll(1)
        operator = plain.with_tensors({"mask": torch.stack([mask, other])[:, None, None, None]})
    first = torch.as_tensor(operator.norm()).flatten()[0]
    assert float(first) == pytest.approx(exact, rel=1e-7)
    assert exact < 1 - 1e-4
    found = lanczos_norm(plain.blocks())
    assert found.converged
    assert found.iterations < 30 < lanczos_norm(plain).iterations


def test_a_guess_does_not_hide_the_largest_singular_value() -> None:
    """A guess along the second of two close singular vectors, within the residual's tolerance."""
    values = torch.tensor([0.935, 0.9345, 0.5, 0.3], dtype=DOUBLE)
    operator = MatrixOperator(torch.diag(values))
    second = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=DOUBLE)
    found = lanczos_norm(operator, bound=torch.ones((), dtype=DOUBLE), guess=second)
    assert value(found.norm) == pytest.approx(0.935, rel=1e-7)


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (RAY, "vectors"),
        (MatrixOperator(torch.rand(4, 3, dtype=DOUBLE)), "matrix"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_tensor_that_is_changed_in_place_changes_the_norm(
    operator: LinearOperator, name: str
) -> None:
    before = value(operator.norm())
    tensor = getattr(operator, name)
    tensor[0].mul_(-0.5) if name == "vectors" else tensor.mul_(2)
    after = value(operator.norm())
    assert after == pytest.approx(largest_singular_value(operator), rel=1e-5)
    assert after != pytest.approx(before, rel=1e-3) or name == "vectors"


def test_the_norm_is_differentiable_in_angles() -> None:
    angles = torch.linspace(0.1, 2.0, 5, dtype=DOUBLE).repeat(2, 1, 1)
    angles[1] *= 1.3
    leaf = angles.clone().requires_grad_()
    norm = RAY.with_tensors({"angles": leaf}).norm()
    assert isinstance(norm, Tensor)
    (gradient,) = torch.autograd.grad(norm.sum(), leaf)
    step = 1e-5
    for sample in range(2):
        for view in (0, 3):
            moved = [angles.clone() for _ in range(2)]
            moved[0][sample, 0, view] += step
            moved[1][sample, 0, view] -= step
            up, down = (
                largest_singular_value(RAY.with_tensors({"angles": each[sample, 0]}))
                for each in moved
            )
            expected = (up - down) / (2 * step)
            assert float(gradient[sample, 0, view]) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_a_multiple_for_each_sample() -> None:
    scalars = torch.tensor([[2.0], [-0.5]], dtype=DOUBLE, requires_grad=True)
    operator = RAY.multiple(scalars)
    generator = torch.Generator().manual_seed(0)
    u, v = (s.random(generator, (2, 3)) for s in (operator.domain, operator.codomain))
    factor = scalars.detach()[..., None, None]
    torch.testing.assert_close(operator(u), factor * RAY(u))
    pair = inner(operator(u), v, 4) - inner(u, operator.adjoint(v), 4)
    assert float(pair.detach().abs()) < 1e-9
    torch.testing.assert_close(operator.norm(), scalars.abs() * RAY.norm())
    torch.testing.assert_close(operator.divided(operator(u)), RAY(u))
    (gradient,) = torch.autograd.grad((operator(u) * v).sum(), scalars)
    torch.testing.assert_close(gradient, inner(RAY(u), v, 2).sum(1, keepdim=True))
