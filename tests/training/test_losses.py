from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.schemes.reconstructor import Estimate
from learnedrecon.training.losses import (
    AbsoluteError,
    LogSquaredError,
    SmoothedModulus,
    SquaredError,
)

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_values_are_those_of_the_formula(tiny: ModuleType, dtype: torch.dtype) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0, 1, 2])
    image = torch.rand(batch.truth.shape, dtype=dtype)
    estimate = Estimate(image)
    modulus = (image - batch.truth).abs()
    pixels = modulus[0].numel()
    for loss, power in ((SquaredError, 2), (AbsoluteError, 1)):
        sums = torch.stack([(one**power).sum() for one in modulus])
        assert torch.allclose(loss("sum")(estimate, batch), sums, rtol=1e-14)
        assert torch.allclose(loss("mean")(estimate, batch), sums / pixels, rtol=1e-14)


@pytest.mark.parametrize("loss", [SquaredError(), AbsoluteError("sum"), LogSquaredError()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_are_finite_where_the_estimate_is_exact(
    tiny: ModuleType, loss: SquaredError | AbsoluteError | LogSquaredError, dtype: torch.dtype
) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0])
    image = batch.truth.to(dtype).requires_grad_()
    loss(Estimate(image), batch).sum().backward()
    assert torch.equal(image.grad, torch.zeros_like(image))


def test_wrong_batches_are_named(tiny: ModuleType) -> None:
    batch = tiny.Source().of([0, 1])
    with pytest.raises(ShapeError, match=r"\(2, 1, 6, 6\)"):
        SquaredError()(Estimate(batch.truth[:, :, :5]), batch)
    with pytest.raises(ShapeError):
        SquaredError()(Estimate(batch.truth[:1]), batch)
    with pytest.raises(DataError, match="without truth"):
        AbsoluteError()(Estimate(batch.truth), batch._replace(truth=None))


def test_the_logarithm_is_of_the_ratio_of_squares(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0, 1, 2])
    image = torch.rand(batch.truth.shape, dtype=torch.float64)
    ratio = torch.stack(
        [(a - b).square().sum() / b.square().sum() for a, b in zip(image, batch.truth, strict=True)]
    )
    found = LogSquaredError(1e-3)(Estimate(image), batch)
    assert torch.allclose(found, (ratio + 1e-3).log(), rtol=1e-13)
    scaled = batch._replace(truth=0.04 * batch.truth)
    assert torch.allclose(LogSquaredError(1e-3)(Estimate(0.04 * image), scaled), found, rtol=1e-13)


def test_an_empty_truth_is_compared_with_one(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0])
    empty = batch._replace(truth=torch.zeros_like(batch.truth))
    found = LogSquaredError(1e-6)(Estimate(torch.full_like(batch.truth, 0.1)), empty)
    assert torch.allclose(found, torch.tensor(0.01 + 1e-6, dtype=torch.float64).log())


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan")])
def test_a_floor_that_is_not_positive_is_refused(floor: float) -> None:
    with pytest.raises(ConfigError, match=r"Expected floor > 0\. Found .*What to do"):
        LogSquaredError(floor)


def test_the_modulus_ignores_the_phase(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0, 1])
    image = torch.rand(batch.truth.shape, dtype=torch.complex128)
    found = SmoothedModulus("sum", 0.01)(Estimate(image), batch)
    moduli = [(each.abs().square() + 0.01).sqrt() for each in (image, batch.truth)]
    expected = (moduli[0] - moduli[1]).square().flatten(1).sum(1)
    assert torch.allclose(found, expected, rtol=1e-13)
    turned = Estimate(image * torch.exp(torch.tensor(0.7j)))
    assert torch.allclose(SmoothedModulus("sum", 0.01)(turned, batch), found, rtol=1e-6)
    assert float(SmoothedModulus()(Estimate(batch.truth * 1j), batch).sum()) < 1e-20


def test_the_modulus_has_a_gradient_at_zero(tiny: ModuleType) -> None:
    batch = tiny.Source(dtype=torch.float64).of([0])
    image = torch.zeros(batch.truth.shape, dtype=torch.complex128, requires_grad=True)
    SmoothedModulus()(Estimate(image), batch).sum().backward()
    assert image.grad is not None
    assert bool(image.grad.isfinite().all())
    with pytest.raises(ConfigError, match="epsilon > 0"):
        SmoothedModulus(epsilon=0.0)
