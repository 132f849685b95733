"""deepinv's physics as our operators, and deepinv's models on ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import deepinv
import pytest
import torch

from learnedrecon.errors import DtypeError, GeometryError, PropertyError, ShapeError
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.operators.adapters.deepinv import from_deepinv, to_deepinv
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_operator

if TYPE_CHECKING:
    from collections.abc import Callable

GEOMETRY = ParallelBeam((16, 16), AngleRange(12), FlatDetector(25))
RAY = RayTransform(GEOMETRY)
KERNEL = torch.tensor([[1.0, 2, 1], [3, 6, 2], [1, 2, 0]])[None, None] / 18


def cube(x: torch.Tensor) -> torch.Tensor:
    """Nonlinear, with neighbours."""
    return x**3 + x.roll(1, -1) * x


PHYSICS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "blur": (lambda: deepinv.physics.Blur(filter=KERNEL, padding="circular"), (1, 8, 9)),
    "valid blur": (lambda: deepinv.physics.Blur(filter=KERNEL, padding="valid"), (1, 8, 9)),
    "downsampling": (
        lambda: deepinv.physics.Downsampling(img_size=(1, 8, 8), factor=2, filter="gaussian"),
        (1, 8, 8),
    ),
    "colour inpainting": (lambda: deepinv.physics.Inpainting((3, 6, 7), mask=0.5), (3, 6, 7)),
    "mri": (
        lambda: deepinv.physics.MRI(mask=torch.eye(8) + torch.eye(8).flip(0), img_size=(2, 8, 8)),
        (2, 8, 8),
    ),
    "tomography": (
        lambda: deepinv.physics.Tomography(angles=7, img_width=12, normalize=False),
        (1, 12, 12),
    ),
}


@pytest.mark.parametrize("name", PHYSICS)
def test_a_linear_physics_is_an_operator(name: str) -> None:
    make, shape = PHYSICS[name]
    physics = make()
    operator = from_deepinv(physics, shape)
    assert isinstance(operator, LinearOperator)
    check_operator(operator)
    u = torch.randn(2, *shape)
    torch.testing.assert_close(operator(u.squeeze(1)), physics.A(u).squeeze(1))


@pytest.mark.parametrize("name", [name for name in PHYSICS if name != "tomography"])
def test_a_linear_physics_in_double_precision(name: str) -> None:
    make, shape = PHYSICS[name]
    check_operator(from_deepinv(make(), shape).to(torch.float64))


def test_tomography_in_double_precision() -> None:
    """Which deepinv fixes when it is built: its adjoint does not follow ``.to(float64)``."""
    physics = deepinv.physics.Tomography(
        angles=7, img_width=12, normalize=False, dtype=torch.float64
    )
    check_operator(from_deepinv(physics, (1, 12, 12), torch.float64))


def test_a_nonlinear_physics_is_an_operator() -> None:
    operator = from_deepinv(deepinv.physics.Physics(A=cube), (1, 5, 6), torch.float64)
    assert not isinstance(operator, LinearOperator)
    check_operator(operator)


def test_single_precision_physics_take_double_precision() -> None:
    operator = from_deepinv(deepinv.physics.Blur(filter=KERNEL, padding="circular"), (1, 8, 9))
    u = torch.randn(2, 8, 9, dtype=torch.float64)
    assert operator(u).dtype == torch.float64
    torch.testing.assert_close(operator(u).float(), operator(u.float()))


def test_gradients_flow_to_a_kernel_that_requires_them() -> None:
    kernel = KERNEL.double().clone().requires_grad_()
    physics = deepinv.physics.Blur(filter=KERNEL.double(), padding="circular")
    operator = from_deepinv(physics, (1, 8, 9), torch.float64)
    physics.filter = kernel
    u, v = torch.randn(2, 1, 1, 8, 9, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((operator(u) * v).sum(), kernel)
    direction = torch.randn_like(kernel)
    physics.filter = direction
    torch.testing.assert_close((gradient * direction).sum(), (operator(u) * v).sum())


def test_an_approximate_adjoint_has_to_be_accepted() -> None:
    physics = deepinv.physics.Tomography(
        angles=7, img_width=12, normalize=False, adjoint_via_backprop=False
    )
    with pytest.raises(PropertyError, match=r"Tomography(?s:.*)approximate_adjoint=True"):
        from_deepinv(physics, (1, 12, 12))
    from_deepinv(physics, (1, 12, 12), approximate_adjoint=True)


def test_what_cannot_be_wrapped_is_refused() -> None:
    with pytest.raises(DtypeError, match="a deepinv Physics"):
        from_deepinv(RAY, (1, 16, 16))
    with pytest.raises(DtypeError, match="an operator of learnedrecon"):
        to_deepinv(deepinv.physics.Physics())
    with pytest.raises(ShapeError, match="image_shape"):
        from_deepinv(deepinv.physics.Inpainting((3, 6, 7), mask=0.5), (3, 4, 4))
    stacked = deepinv.physics.stack(deepinv.physics.Denoising(), deepinv.physics.Denoising())
    with pytest.raises(GeometryError, match="TensorList"):
        from_deepinv(stacked, (1, 4, 4))


def test_the_adjointness_test_of_deepinv_passes_on_ours() -> None:
    physics = to_deepinv(RayTransform(GEOMETRY, torch.float64))
    assert isinstance(physics, deepinv.physics.LinearPhysics)
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    assert abs(float(physics.adjointness_test(x))) < 1e-10
    torch.testing.assert_close(physics.A(x), RAY(x.float()).double(), rtol=1e-4, atol=1e-4)


def test_complex_elements_are_two_channels() -> None:
    physics = to_deepinv(FiniteDifference(Space((4, 5), torch.complex128)))
    z = torch.randn(2, 4, 5, dtype=torch.complex128)
    x = torch.stack([z.real, z.imag], 1)
    expected = FiniteDifference(Space((4, 5), torch.complex128))(z)
    torch.testing.assert_close(physics.A(x), torch.stack([expected.real, expected.imag], 1))
    assert abs(float(physics.adjointness_test(x))) < 1e-10


def test_a_nonlinear_operator_is_a_physics() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY, 0.1), torch.float64)
    physics = to_deepinv(operator)
    assert not isinstance(physics, deepinv.physics.LinearPhysics)
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    v = torch.randn(2, 1, 12, 25, dtype=torch.float64)
    torch.testing.assert_close(physics.A_vjp(x, v), operator.linearise(x)[1].adjoint(v))
    check_operator(from_deepinv(physics, (1, 16, 16), torch.float64))


def blobs() -> torch.Tensor:
    coarse = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (16, 16), mode="bilinear")


def test_gradient_descent_of_deepinv_runs_on_our_operator() -> None:
    """Its optimiser finds the minimiser of ½‖Tx - y‖² + ½λ‖x‖²."""
    operator = RayTransform(GEOMETRY, torch.float64)
    physics, truth = to_deepinv(operator), blobs().double()
    y, weight = physics(truth), 1.0
    model = deepinv.optim.GD(
        data_fidelity=deepinv.optim.L2(),
        prior=deepinv.optim.Tikhonov(),
        lambda_reg=weight,
        stepsize=1.9 / (operator.norm() ** 2 + weight),
        max_iter=2000,
        early_stop=True,
        thres_conv=1e-12,
    )
    found = model(y, physics)
    residual = operator.adjoint(operator(found) - y) + weight * found
    assert float(residual.norm() / operator.adjoint(y).norm()) < 1e-6


def test_an_unfolded_model_of_deepinv_trains_on_our_operator() -> None:
    physics, truth = to_deepinv(RAY), blobs()
    y = physics(truth)
    denoiser = deepinv.models.DnCNN(
        in_channels=1, out_channels=1, depth=3, nf=8, pretrained=None, device="cpu"
    )
    model = deepinv.unfolded.unfolded_builder(
        "PGD",
        params_algo={"stepsize": [1 / RAY.norm() ** 2] * 3, "g_param": [0.01] * 3, "lambda": 1.0},
        trainable_params=["stepsize", "g_param"],
        data_fidelity=deepinv.optim.L2(),
        max_iter=3,
        prior=deepinv.optim.PnP(denoiser=denoiser),
    )
    losses = falling(lambda: model(y, physics), list(model.parameters()), truth)
    assert losses[-1] < 0.5 * losses[0], losses


def test_artifact_removal_of_deepinv_runs_on_our_operator() -> None:
    physics, truth = to_deepinv(RAY / float(RAY.norm())), blobs()
    network = deepinv.models.UNet(
        in_channels=1, out_channels=1, scales=2, channels_per_scale=[4, 8], batch_norm=False
    )
    model = deepinv.models.ArtifactRemoval(network, mode="adjoint")
    y = physics(truth)
    losses = falling(lambda: model(y, physics), list(model.parameters()), truth)
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize("name", ["tomography", "blur"])
def test_our_scheme_trains_on_a_physics(name: str) -> None:
    make, _ = PHYSICS[name]
    physics = make()
    size = 12
    operator = from_deepinv(physics, (1, size, size))
    truth = torch.nn.functional.interpolate(blobs(), (size, size), mode="bilinear")
    measured = InverseProblem(operator, operator(truth))
    model = LearnedGradient(iterations=3, memory=2, hidden=8, start="adjoint")
    losses = falling(lambda: model(measured).image, list(model.parameters()), truth)
    assert losses[-1] < 0.5 * losses[0], losses


def test_our_scheme_trains_on_a_nonlinear_physics() -> None:
    operator = from_deepinv(deepinv.physics.Physics(A=lambda x: (x + 0.5) ** 3), (1, 12, 12))
    truth = torch.nn.functional.interpolate(blobs(), (12, 12), mode="bilinear")
    measured = InverseProblem(operator, operator(truth))
    model = LearnedGradient(iterations=3, memory=2, hidden=8, start="adjoint")
    losses = falling(lambda: model(measured).image, list(model.parameters()), truth)
    assert losses[-1] < 0.5 * losses[0], losses


def falling(
    reconstruct: Callable[[], torch.Tensor], parameters: list[torch.Tensor], truth: torch.Tensor
) -> list[float]:
    """The losses of forty steps of Adam."""
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (reconstruct() - truth).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
