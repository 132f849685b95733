from __future__ import annotations

import pytest
import torch
from torch import nn

from learnedrecon.training.average import MovingAverage


def set_weights(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_average_is_the_recursion(decay: float) -> None:
    model = nn.Linear(2, 2).double()
    set_weights(model, 1.0)
    average = MovingAverage(model, decay)
    expected = 1.0
    for step in range(1, 30):
        set_weights(model, step**0.5)
        average.update(model, step=step)
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * step**0.5
    for weights in average.weights.values():
        assert weights.unique().item() == pytest.approx(expected, rel=1e-14)


def test_applied_gives_the_own_weights_back_even_after_an_error() -> None:
    model = nn.Linear(3, 3)
    average = MovingAverage(model, 0.9)
    own = nn.init.normal_(model.weight).detach().clone()
    with average.applied(model):
        assert torch.equal(model.weight, average.weights["weight"])
        assert not torch.equal(model.weight, own)
    assert torch.equal(model.weight, own)
    with pytest.raises(RuntimeError, match="shape"), average.applied(model):
        model(torch.zeros(1, 99))
    assert torch.equal(model.weight, own)
