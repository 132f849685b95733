"""Gridding: what is resolved comes back."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor

from learnedrecon.errors import DifferentiationError, GeometryError, ShapeError
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearMultiple
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Kooshball, Points, Radial, Spiral, Stacked
from learnedrecon.operators.pointwise import ScaledArgument
from learnedrecon.solvers.direct.density import density_weights, ramp_weights
from learnedrecon.solvers.direct.gridding import gridding
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse

# The first forward-mode derivative imports decompositions that warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

WIDE = torch.complex128


def blob(shape: tuple[int, ...], centre: tuple[float, ...], spread: float) -> Tensor:
    total = torch.zeros(())
    for axis, (n, c) in enumerate(zip(shape, centre, strict=True)):
        x = torch.arange(n, dtype=torch.float64) - n // 2 - c
        total = total + (x**2).reshape(n, *[1] * (len(shape) - 1 - axis))
    return torch.exp(-total / (2 * spread**2)).to(WIDE)


def blob_samples(trajectory: Radial | Spiral, shape: tuple[int, int]) -> Tensor:
    """The transform of ``blob(shape, (4.3, -2.6), 2.5)`` in closed form."""
    k = torch.from_numpy(trajectory.points())
    height = 2 * math.pi * 2.5**2 / math.sqrt(math.prod(shape))
    phase = k[..., 0] * 4.3 - k[..., 1] * 2.6
    return height * torch.exp(-(2.5**2) * (k**2).sum(-1) / 2) * torch.exp(-1j * phase)


@pytest.mark.parametrize(
    ("trajectory", "within"),
    [(Radial(100, 128, "uniform"), 5e-4), (Radial(100, 128), 2e-3), (Spiral(40, 300, 1.0), 0.01)],
    ids=["radial", "golden", "spiral"],
)
def test_a_blob_comes_back_from_its_closed_form(trajectory: Radial | Spiral, within: float) -> None:
    """All of its frequencies are sampled, so what is left is the error of the quadrature."""
    shape = (64, 60)
    operator = NonCartesianMRI(NonCartesian(shape, trajectory), dtype=WIDE)
    expected = blob(shape, (4.3, -2.6), 2.5)
    found = gridding(operator, blob_samples(trajectory, shape))
    assert (found - expected).norm() <= within * expected.norm()


def test_the_closed_form_weights_are_nearly_as_good() -> None:
    shape, trajectory = (64, 60), Radial(100, 128, "uniform")
    operator = NonCartesianMRI(NonCartesian(shape, trajectory), dtype=WIDE)
    expected = blob(shape, (4.3, -2.6), 2.5)
    data = blob_samples(trajectory, shape)
    found = gridding(operator, data, weights=ramp_weights(trajectory, shape))
    assert (found - expected).norm() <= 3e-3 * expected.norm()


def test_a_constant_disc_keeps_its_value() -> None:
    operator = NonCartesianMRI(NonCartesian((64, 64), Radial(100, 128)), dtype=WIDE)
    x = torch.arange(64, dtype=torch.float64) - 32
    radius = (x[:, None] ** 2 + x**2).sqrt()
    found = gridding(operator, operator((radius < 22).to(WIDE)))
    assert float(found.real[radius < 18].mean()) == pytest.approx(1.0, abs=2e-3)
    assert float(found.abs()[radius > 26].mean()) < 0.03


@pytest.mark.parametrize(
    ("trajectory", "within"),
    [(Kooshball(1500, 32), 0.02), (Stacked(Radial(26, 32, "uniform"), 16), 1e-3)],
    ids=["kooshball", "stack of stars"],
)
def test_in_three_dimensions(trajectory: Kooshball | Stacked, within: float) -> None:
    shape = (16, 16, 16)
    operator = NonCartesianMRI(NonCartesian(shape, trajectory), dtype=WIDE)
    image = blob(shape, (1.0, -0.5, 0.3), 1.5)
    found = gridding(operator, operator(image))
    assert (found - image).norm() <= within * image.norm()


def test_the_inverse_on_the_cartesian_grid() -> None:
    axes = [2 * math.pi * (torch.arange(n, dtype=torch.float64) - n // 2) / n for n in (6, 8)]
    values = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    points = Points(values)  # type: ignore[arg-type]
    operator = NonCartesianMRI(NonCartesian((6, 8), points), dtype=WIDE)
    u = random(2, 1, 6, 8)
    torch.testing.assert_close(gridding(operator, operator(u)), u, rtol=1e-5, atol=1e-5)


def maps(coils: int, shape: tuple[int, int]) -> Tensor:
    """Smooth, of uneven power, and zero in the first column."""
    x = torch.linspace(-1, 1, shape[1], dtype=torch.float64)
    y = torch.linspace(-1, 1, shape[0], dtype=torch.float64)[:, None]
    turns = [2 * math.pi * c / coils for c in range(coils)]
    seen = [torch.exp(1j * t + math.cos(t) * x + math.sin(t) * y) for t in turns]
    whole = torch.stack(seen)
    whole[..., 0] = 0
    return whole


def test_coils_are_combined_to_the_image_whatever_their_power() -> None:
    shape, trajectory = (48, 48), Radial(80, 96)
    image = blob(shape, (4.0, -3.0), 3.0)
    operator = NonCartesianMRI(NonCartesian(shape, trajectory, 4), 7 * maps(4, shape), WIDE)
    found = gridding(operator, operator(image))
    assert (found - image).norm() <= 5e-3 * image.norm()
    assert not found[:, 0].any()
    two = torch.stack([maps(4, shape), 0.1 * maps(4, shape)])[:, None]
    each = operator.with_tensors({"maps": two})
    both = gridding(each, each(image.expand(2, 1, *shape)))
    assert (both - image).norm() <= 5e-3 * both.norm()


def test_it_is_linear_in_the_data_and_differentiable() -> None:
    plain = NonCartesianMRI(NonCartesian((2, 3), Radial(3, 5), 2), dtype=WIDE)
    v = random(2, 3, 5).requires_grad_()
    s = random(2, 2, 3, seed=1).requires_grad_()

    def action(v: Tensor, s: Tensor) -> Tensor:
        return gridding(plain.with_tensors({"maps": s}), v)

    assert torch.autograd.gradcheck(action, (v, s), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(action, (v, s))


def test_pixels_that_no_coil_sees_have_finite_gradients() -> None:
    plain = NonCartesianMRI(NonCartesian((6, 6), Radial(5, 12), 2), dtype=WIDE)
    s = maps(2, (6, 6)).requires_grad_()
    image = gridding(plain.with_tensors({"maps": s}), random(2, 5, 12))
    (slope,) = torch.autograd.grad(image.abs().pow(2).sum(), s)
    assert bool(slope.isfinite().all())


def test_multiples_are_inverted() -> None:
    operator = NonCartesianMRI(NonCartesian((16, 16), Radial(20, 32)), dtype=WIDE)
    data = operator(random(16, 16))
    expected = gridding(operator, data)
    torch.testing.assert_close(gridding(LinearMultiple(operator, -4.0), -4 * data), expected)
    torch.testing.assert_close(gridding(ScaledArgument(operator, 0.5), 0.5 * data), expected)
    for wrapped, seen in ((operator, data), (LinearMultiple(operator, 2.0), 2 * data)):
        torch.testing.assert_close(pseudo_inverse(wrapped, seen), expected)


def test_single_precision_stays_single() -> None:
    operator = NonCartesianMRI(NonCartesian((16, 16), Radial(20, 32)))
    data = operator(random(2, 1, 16, 16, dtype=torch.complex64))
    found = gridding(operator, data)
    assert found.dtype == torch.complex64
    expected = gridding(operator, data.to(WIDE))
    assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_gradients_in_the_trajectory_need_weights_that_are_given() -> None:
    plain = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8)), dtype=WIDE)
    k = plain.trajectory.clone().requires_grad_()
    operator = plain.with_tensors({"trajectory": k})
    data = random(3, 8)
    with pytest.raises(DifferentiationError, match="hold the weights fixed"):
        gridding(operator, data)
    weights = density_weights(operator)
    assert not weights.requires_grad

    def action(k: Tensor) -> Tensor:
        return gridding(plain.with_tensors({"trajectory": k}), data, weights=weights)

    assert torch.autograd.gradcheck(action, (k,))
    with torch.no_grad():
        torch.testing.assert_close(gridding(operator, data), action(k))


def test_bad_input_is_one_clear_error() -> None:
    operator = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8)))
    with pytest.raises(GeometryError, match="of the kind NonCartesianMRI"):
        gridding(FiniteDifference(operator.domain), random(4, 5))
    with pytest.raises(ShapeError, match=r"\(3, 8\)"):
        gridding(operator, random(8, 3))
    with pytest.raises(ShapeError, match="weights with last axes"):
        gridding(operator, random(3, 8), weights=torch.ones(8, 3))
