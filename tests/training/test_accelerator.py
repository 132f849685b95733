from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from learnedrecon.errors import ConfigError
from learnedrecon.training.accelerator import across_processes, make_accelerator, place

if TYPE_CHECKING:
    from types import ModuleType


def test_runs_of_different_precision_can_follow_each_other() -> None:
    assert make_accelerator("bf16", cpu=True).mixed_precision == "bf16"
    assert make_accelerator("no", cpu=True).mixed_precision == "no"
    assert make_accelerator("bf16", cpu=True).native_amp


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="only a CPU"):
        make_accelerator("fp16", cpu=True)


def test_the_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    make_accelerator("bf16", cpu=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_is_not_patched(tiny: ModuleType) -> None:
    """A copy of it is a model of its own, whatever the precision."""
    model = tiny.Tiny(tiny.TinySpec())
    accelerator = make_accelerator("bf16", cpu=True)
    place(model, accelerator, channels_last=False)
    assert across_processes(model, accelerator) is model
    assert "forward" not in vars(model)
    twin = copy.deepcopy(model).eval()
    for name in ("last.weight", "last.bias"):
        nn.init.zeros_(twin.get_parameter(name))
    problem = tiny.Source().of([0]).problem
    assert torch.equal(twin(problem).image, problem.adjoint(problem.data))


def test_channels_last_lays_out_convolutions_in_place() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4)]
    weights = [layer.get_parameter("weight") for layer in layers]
    values = [weight.detach().clone() for weight in weights]
    place(nn.ModuleList(layers), make_accelerator(cpu=True), channels_last=True)
    assert weights[0].is_contiguous(memory_format=torch.channels_last)
    assert weights[1].is_contiguous(memory_format=torch.channels_last_3d)
    assert weights[2].is_contiguous()
    assert all(layers[k].get_parameter("weight") is weights[k] for k in range(3))
    assert all(torch.equal(weights[k], values[k]) for k in range(3))
