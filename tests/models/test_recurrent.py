"""The recurrent inference machine: in numpy, as gradient descent, and a loss on every iterate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tests.in_numpy import IMAGE, RAY, C, T, data, scaled_data
from tests.models.test_formulas import layers

from learnedrecon.data.batch import Batch
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.models.like import Like
from learnedrecon.models.recurrent import RecurrentInferenceMachine, on_parts
from learnedrecon.problem import InverseProblem
from learnedrecon.testing.steps import perturb
from learnedrecon.training.losses import DeepSupervision, SquaredError

if TYPE_CHECKING:
    from tests.in_numpy import Array


def built(features: int = 4) -> Any:
    torch.manual_seed(0)
    model = RecurrentInferenceMachine(3, features, start="adjoint", image_scale=C).double()
    perturb(model, seed=0)
    return model


def iterates(model: Any) -> list[Array]:
    problem = InverseProblem(RAY, data())
    return [e.image.detach().numpy().reshape(IMAGE) / C for e in model.iterates(problem)]


def gradient(u: Array) -> Array:
    """T*(Tu - y)."""
    result: Array = (T.T @ (T @ u.ravel() - scaled_data())).reshape(IMAGE)
    return result


def sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def test_every_iterate() -> None:
    model = built()
    step = model.scheme.step
    u, h = (T.T @ scaled_data()).reshape(IMAGE), np.zeros((4, *IMAGE))
    for found in iterates(model):
        x = np.maximum(layers(step.encoder.layers, np.stack([u, gradient(u)])), 0)
        r, z = np.split(sigmoid(layers(step.unit.gates.layers, np.concatenate([x, h]))), 2)
        seen = np.concatenate([x, r * h])
        h = (1 - z) * h + z * np.tanh(layers(step.unit.candidate.layers, seen))
        assert np.abs(h).max() > 1e-2
        u = u + layers(step.decoder.layers, h)[0]
        np.testing.assert_allclose(found, u, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_gradient_descent_is_one_of_them() -> None:
    """x = ε(g, -g) cut off at 0, z = 1, h = tanh(x) and B = -η/ε (1, -1): u - η g + O(ε²)."""
    model, epsilon, eta = built(features=2), 1e-4, 0.7
    step = model.scheme.step
    for p in model.parameters():
        p.zero_()
    (encoder,), (gates,) = step.encoder.layers, step.unit.gates.layers
    (candidate,), (decoder,) = step.unit.candidate.layers, step.decoder.layers
    encoder.weight[:, 1, 1, 1] = epsilon * torch.tensor([1.0, -1.0])
    gates.bias[2:] = 50
    candidate.weight[[0, 1], [0, 1], 1, 1] = 1
    decoder.weight[0, :, 1, 1] = -eta / epsilon * torch.tensor([1.0, -1.0])
    u = (T.T @ scaled_data()).reshape(IMAGE)
    for found in iterates(model):
        u = u - eta * gradient(u)
        np.testing.assert_allclose(found, u, rtol=0, atol=1e-6)


def test_the_loss_of_the_paper_is_the_mean_over_all_iterates() -> None:
    model, problem = built(), InverseProblem(RAY, data())
    truth = torch.full((1, 1, *IMAGE), 0.5 * C, dtype=torch.float64)
    batch = Batch(problem, truth, None, ("0",))
    estimates = tuple(model.iterates(problem))
    loss = DeepSupervision(decay=1.0)(estimates, batch)
    errors = [(e.image - truth).square().mean() for e in estimates]
    torch.testing.assert_close(loss, torch.stack(errors).mean()[None])
    of_all = torch.autograd.grad(loss.sum(), list(model.parameters()))
    last = SquaredError()(model(problem), batch).sum()
    of_last = torch.autograd.grad(last, list(model.parameters()))
    assert all(
        float((a - b).norm() / b.norm()) > 1e-3 for a, b in zip(of_all, of_last, strict=True)
    )


def test_functions_of_complex_numbers_act_on_their_parts() -> None:
    a, b = torch.linspace(-2, 2, 5), torch.linspace(3, -1, 5)
    found = on_parts(torch.sigmoid, torch.complex(a, b))
    torch.testing.assert_close(found, torch.complex(a.sigmoid(), b.sigmoid()))


def test_parameters() -> None:
    assert count_parameters(RecurrentInferenceMachine()) == 56_289
    assert count_parameters(RecurrentInferenceMachine(iterations=2)) == 56_289
    complex_ = RecurrentInferenceMachine(like=Like(image_complex=True))
    assert count_parameters(complex_) == 224_898
