from __future__ import annotations

import pytest
import torch

from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.training.optimisers import (
    TensorFlowRMSProp,
    build_optimiser,
    load_optimiser_state,
    optimiser_state,
)
from learnedrecon.training.spec import OptimiserSpec


def descend(optimiser: torch.optim.Optimizer, x: torch.Tensor, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        (x**2 * torch.arange(1, x.numel() + 1).reshape(x.shape)).sum().backward()
        optimiser.step()


def test_rmsprop_is_that_of_tensorflow() -> None:
    """Against the recursion in Python floats: s starts at 1, ε is under the root."""
    rate, decay, epsilon = 0.1, 0.9, 1e-3
    x, s = 2.0, 1.0
    for _ in range(20):
        gradient = 2 * x
        s = decay * s + (1 - decay) * gradient**2
        x -= rate * gradient / (s + epsilon) ** 0.5
    variable = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimiser = TensorFlowRMSProp([variable], lr=rate, decay=decay, epsilon=epsilon)
    descend(optimiser, variable, 20)
    assert variable.item() == pytest.approx(x, rel=1e-13)


def test_rmsprop_leaves_what_has_no_gradient_and_takes_a_closure() -> None:
    used, unused = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimiser = TensorFlowRMSProp([used, unused], lr=0.1)

    def closure() -> float:
        loss = used.sum()
        loss.backward()
        return loss.item()

    assert optimiser.step(closure) == 2.0
    assert torch.equal(unused, torch.ones(2))
    assert (used < 1).all()


def test_adam_has_the_numbers_of_the_spec() -> None:
    spec = OptimiserSpec(learning_rate=0.02, betas=(0.8, 0.95), epsilon=1e-5)
    group = build_optimiser(spec, {"weight": torch.zeros(1, requires_grad=True)}).param_groups[0]
    assert (group["lr"], group["betas"], group["eps"]) == (0.02, (0.8, 0.95), 1e-5)


def test_submodules_may_have_rates_of_their_own() -> None:
    """Plain descent would move by the rate: RMSProp at its first step with ε = 0, s = 1, does."""
    names = ("encoder.weight", "encoder.bias", "encoders", "decoder.weight")
    parameters = {name: torch.ones(1, requires_grad=True) for name in names}
    rates = {"encoder": 0.5, "decoder.weight": 0.25}
    spec = OptimiserSpec("rmsprop", learning_rate=0.125, decay=1 - 1e-7, rates=rates)
    optimiser = build_optimiser(spec, parameters)
    torch.stack(list(parameters.values())).sum().backward()
    optimiser.step()
    moved = {name: 1 - parameter.item() for name, parameter in parameters.items()}
    expected = dict(zip(names, (0.5, 0.5, 0.125, 0.25), strict=True))
    assert moved == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("rates", "message"),
    [({"coder": 1.0}, "in the group 'coder'"), ({"a": 1.0, "a.b": 1.0}, "'a.b' in one group")],
)
def test_rates_that_fit_no_parameter_are_refused(rates: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_optimiser(OptimiserSpec(rates=rates), {"a.b": torch.ones(1, requires_grad=True)})


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_state_goes_on_exactly(kind: str, layout: torch.memory_format) -> None:
    spec = OptimiserSpec(kind=kind, learning_rate=0.1)  # type: ignore[arg-type]
    start = torch.linspace(-1, 1, 24).reshape(2, 3, 2, 2).contiguous(memory_format=layout)
    whole, first = (start.clone().requires_grad_() for _ in range(2))
    descend(build_optimiser(spec, {"weight": whole}), whole, 10)

    before = build_optimiser(spec, {"weight": first})
    descend(before, first, 4)
    saved = {
        name: value.contiguous().clone()
        for name, value in optimiser_state(before, {"block.weight": first}).items()
    }
    second = first.detach().clone().requires_grad_()
    after = build_optimiser(spec, {"weight": second})
    load_optimiser_state(after, {"block.weight": second}, saved)
    moments = [value for value in after.state[second].values() if value.ndim == 4]
    assert moments
    assert all(moment.stride() == second.stride() for moment in moments)
    descend(after, second, 6)
    assert torch.equal(whole, second)


@pytest.mark.parametrize(
    ("name", "shape", "named"),
    [("other.exp_avg", (3,), "no such parameter"), ("weight.exp_avg", (4,), r"\(3,\)")],
)
def test_foreign_state_is_refused(name: str, shape: tuple[int, ...], named: str) -> None:
    weight = torch.zeros(3, requires_grad=True)
    optimiser = build_optimiser(OptimiserSpec(), {"weight": weight})
    with pytest.raises(FileFormatError, match=named):
        load_optimiser_state(optimiser, {"weight": weight}, {name: torch.zeros(shape)})
    assert not optimiser.state
