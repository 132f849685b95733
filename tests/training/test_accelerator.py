from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from learnedrecon.errors import ConfigError
from learnedrecon.training.accelerator import (
    across_processes,
    make_accelerator,
    place,
    refuse_variables,
)

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4"),
        ("ACCELERATE_TORCH_DEVICE", "meta"),
        ("ACCELERATE_USE_DEEPSPEED", "true"),
        ("ACCELERATE_USE_FSDP", "1"),
        ("ACCELERATE_USE_MEGATRON_LM", "true"),
        ("ACCELERATE_USE_SAGEMAKER", "TRUE"),
        ("ACCELERATE_DYNAMO_BACKEND", "inductor"),
        ("ACCELERATE_SOMETHING_NEW", "yes"),
        ("PMI_SIZE", "4"),
        ("WORLD_SIZE", "4"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("LOCAL_RANK", "0"),
        ("LOCAL_RANK", "first"),
    ],
)
def test_a_variable_that_would_change_a_training_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"variable {name}={value}. What to do: unset {name}"):
        make_accelerator(cpu=True)
    monkeypatch.delenv(name)
    assert make_accelerator(cpu=True).device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1"),
        ("ACCELERATE_USE_FSDP", "false"),
        ("ACCELERATE_USE_CPU", "true"),
        ("ACCELERATE_DYNAMO_BACKEND", "NO"),
        ("ACCELERATE_DYNAMO_MODE", "default"),
        ("ACCELERATE_MIXED_PRECISION", "bf16"),
        ("WORLD_SIZE", "1"),
        ("LOCAL_RANK", "-1"),
        ("RANK", "0"),
    ],
)
def test_a_variable_that_changes_nothing_is_let_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    accelerator = make_accelerator(cpu=True)
    assert accelerator.mixed_precision == "no"
    assert accelerator.gradient_accumulation_steps == 1
    assert accelerator.num_processes == 1


def test_a_gpu_is_not_silently_left_alone() -> None:
    with pytest.raises(ConfigError, match="ACCELERATE_USE_CPU"):
        refuse_variables({"ACCELERATE_USE_CPU": "true"}, cpu=False)


def test_what_torchrun_sets_is_let_be() -> None:
    started = {"MASTER_ADDR": "here", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    refuse_variables(started, cpu=True)
    for name in started:
        if name != "WORLD_SIZE":
            with pytest.raises(ConfigError, match=f"torchrun, which sets {name}"):
                refuse_variables({k: v for k, v in started.items() if k != name}, cpu=True)
