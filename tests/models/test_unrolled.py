"""Unrolled gradient descent: in numpy, beside the equilibrium, and with less memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.models.in_numpy import IMAGE, RAY, C, data, gradient, scaled_data

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.certificate import certify
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.equilibrium import EquilibriumGradient, equilibrium_gradient
from learnedrecon.models.unrolled import UnrolledGradient, unrolled_gradient
from learnedrecon.problem import Measured
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.step import Repeat
from learnedrecon.solvers.fixed_point import Picard
from learnedrecon.testing.steps import shake

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Iterative

SPEC = UnrolledGradient(4, 2, 3, 5, 0.15, weight=0.5, image_scale=C)


def built(spec: UnrolledGradient = SPEC) -> Iterative:
    torch.manual_seed(0)
    model = unrolled_gradient(spec).double()
    shake(model, seed=0)
    return model


@pytest.mark.parametrize("bound", ["none", "layers"])
def test_every_iterate_in_numpy(bound: Any) -> None:  # noqa: ANN401
    model = built(replace(SPEC, bound=bound))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("filters.weight"):
                parameter.mul_(1.3)  # seen without a bound alone
    found = [estimate.image for estimate in model.iterates(Measured(RAY, data()))]
    assert len(found) == SPEC.iterations
    assert isinstance(model.scheme, Repeat)
    by_hand = gradient(model.scheme.step, scaled_data())
    for image in found:
        expected = C * next(by_hand).reshape(1, 1, *IMAGE)
        np.testing.assert_allclose(image.detach().numpy(), expected, rtol=1e-9, atol=1e-10)


def test_it_is_the_equilibrium_stopped_early() -> None:
    """With the same bounded weights and ε close to 1, K Picard iterations."""
    spec = EquilibriumGradient(
        2, 3, 5, 0.15, epsilon=1 - 1e-12, bound="layers", weight=0.5, image_scale=C
    )
    model, at = built(replace(SPEC, bound="layers")), Measured(RAY, data())
    other = equilibrium_gradient(spec).double()
    other.load_state_dict(model.state_dict(), strict=True)
    assert isinstance(other.scheme, FixedPoint)
    other.scheme = FixedPoint(other.scheme.step, Picard(0.0, SPEC.iterations))
    pairs = zip(model.iterates(at), other.iterates(at), strict=True)
    for mine, picard in pairs:
        torch.testing.assert_close(mine.image, picard.image, rtol=1e-9, atol=1e-10)


def test_3553_parameters_as_the_equilibrium_has() -> None:
    model, other = unrolled_gradient(), equilibrium_gradient()
    assert count_parameters(model) == count_parameters(other) == 3_553
    assert model.state_dict().keys() == other.state_dict().keys()
    assert count_parameters(built(replace(SPEC, iterations=9))) == count_parameters(built())


@pytest.mark.parametrize("every", [1, 3])
def test_checkpointing_gives_the_same_gradients(every: int) -> None:
    at, found = Measured(RAY, data()), []
    for model in (built(), built(replace(SPEC, checkpoint_every=every))):
        loss = model(at).image.square().sum()
        found.append(torch.autograd.grad(loss, list(model.parameters())))
    assert isinstance(model.scheme, Repeat)
    assert model.scheme.backward_mode == Checkpointed(every)
    for expected, gradient_of in zip(*found, strict=True):
        assert bool(expected.any())
        torch.testing.assert_close(gradient_of, expected, rtol=1e-12, atol=1e-14)


def test_a_number_of_steps_has_no_certificate() -> None:
    assert "no fixed point" in certify(built(), RAY).reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", 0),
        ("layers", 0),
        ("width", 0),
        ("filters", 1.5),
        ("threshold", -1.0),
        ("bound", "all"),
        ("weight", 0.0),
        ("image_scale", 0.0),
        ("checkpoint_every", 0),
    ],
)
def test_fields_out_of_range(field: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=f"Expected '{field}' of UnrolledGradient"):
        replace(SPEC, **{field: value})
