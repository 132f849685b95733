"""Unrolled gradient descent: in numpy, from both starts, and with less memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from tests.in_numpy import IMAGE, RAY, C, T, data, number, scaled_data

from learnedrecon.errors import ConfigError
from learnedrecon.evaluation.certificate import certify
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.models.unrolled import UnrolledGradient
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.backward import Checkpointed
from learnedrecon.schemes.differentiation import set_backward
from learnedrecon.schemes.fixed_point import FixedPoint
from learnedrecon.schemes.step import Repeat
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from tests.in_numpy import Array


ARGUMENTS: dict[str, Any] = {
    "iterations": 4,
    "layers": 3,
    "hidden": 5,
    "start": "adjoint",
    "weight": 0.7,
    "image_scale": C,
}


def built(**changes: Any) -> UnrolledGradient:
    torch.manual_seed(0)
    model = UnrolledGradient(**(ARGUMENTS | changes)).double()
    perturb(model, seed=0)
    return model


def network(step: torch.nn.Module, u: Array) -> Array:
    """3×3 convolutions with zeros beyond the border, ReLU between them."""
    x = u.reshape(1, *IMAGE)
    layers = [m for m in step.modules() if isinstance(m, torch.nn.Conv2d)]
    for index, layer in enumerate(layers):
        assert layer.bias is not None
        kernels, biases = (t.detach().numpy() for t in (layer.weight, layer.bias))
        x = np.maximum(x, 0) if index else x
        x = np.stack(
            [
                sum(correlate2d(a, k, "same") for a, k in zip(x, row, strict=True)) + bias
                for row, bias in zip(kernels, biases, strict=True)
            ]
        )
    return np.ravel(x)


def test_every_iterate_in_numpy() -> None:
    model, y = built(), scaled_data()
    found = [estimate.image for estimate in model.iterates(InverseProblem(RAY, data()))]
    assert len(found) == 4
    assert isinstance(model.scheme, Repeat)
    step = model.scheme.step
    weight, u = number(step, "log_weight"), T.T @ y
    for image in found:
        u = u + 0.95 / (1 + weight) * (T.T @ (y - T @ u) - weight * network(step, u))
        expected = C * u.reshape(1, 1, *IMAGE)
        np.testing.assert_allclose(image.detach().numpy(), expected, rtol=1e-9, atol=1e-10)


def test_it_starts_from_filtered_back_projection_where_that_is_asked_for() -> None:
    filtered = FilteredBackprojection("hann")
    model, at = built(start=filtered), InverseProblem(RAY, data())
    scaled, c = model.scaled(at)
    torch.testing.assert_close(c * model.initial(scaled).image, filtered(at))


def test_parameters_are_those_of_one_network() -> None:
    assert count_parameters(UnrolledGradient()) == 19_106
    assert count_parameters(built(iterations=9)) == count_parameters(built())


@pytest.mark.parametrize("every", [1, 3])
def test_checkpointing_gives_the_same_gradients(every: int) -> None:
    at, found = InverseProblem(RAY, data()), []
    frugal = built()
    set_backward(frugal, "checkpointed", every)
    for model in (built(), frugal):
        loss = model(at).image.square().sum()
        found.append(torch.autograd.grad(loss, list(model.parameters())))
    assert isinstance(frugal.scheme, Repeat)
    assert frugal.scheme.backward_mode == Checkpointed(every)
    for expected, gradient_of in zip(*found, strict=True):
        assert bool(expected.any())
        torch.testing.assert_close(gradient_of, expected, rtol=1e-12, atol=1e-14)


def test_neither_the_steps_nor_their_fixed_point_have_a_certificate() -> None:
    model = built()
    assert "no fixed point" in certify(model, RAY, fidelity=LeastSquares()).reason
    assert isinstance(model.scheme, Repeat)
    assert (
        "no known bound"
        in certify(FixedPoint(model.scheme.step), RAY, fidelity=LeastSquares()).reason
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", 0),
        ("layers", 1),
        ("hidden", 0),
        ("weight", 0.0),
        ("image_scale", 0.0),
    ],
)
def test_fields_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"Expected '{field}' of UnrolledGradient"):
        built(**{field: value})
