"""Device, precision and processes of a run, by Hugging Face Accelerate."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin

from learnedrecon.errors import ConfigError, describe
from learnedrecon.networks.layout import (
    channels_last_is_faster,
    fastest_precision,
    set_channels_last,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

Precision = Literal["auto", "no", "bf16", "fp16"]
ChannelsLast = Literal["auto"] | bool

_OFF = {"", "0", "no", "none", "false", "off"}
_HARMLESS = {
    "ACCELERATE_BYPASS_DEVICE_MAP",
    "ACCELERATE_CPU_AFFINITY",
    "ACCELERATE_DEBUG_MODE",
    "ACCELERATE_DYNAMO_MODE",
    "ACCELERATE_DYNAMO_USE_DYNAMIC",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION",
    "ACCELERATE_ENABLE_RICH",
    "ACCELERATE_MIXED_PRECISION",
}
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_STARTED_BY_TORCHRUN = ("MASTER_ADDR", "RANK", "WORLD_SIZE", "LOCAL_RANK")


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name; ``cuda:k`` also becomes the current GPU.

    Args:
        name: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:k".

    Raises:
        ConfigError: The name is unknown, or there is no such GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if name in {"auto", "cuda"} and gpus:
        return torch.device("cuda")
    kind, _, index = name.partition(":")
    if kind == "cuda" and index.isdecimal() and int(index) < gpus:
        torch.cuda.set_device(int(index))
        return torch.device(name)
    known = [f"cuda:{k}" for k in range(gpus)]
    raise ConfigError(
        describe(
            expected=f"a device of this machine: {', '.join(['auto', 'cpu', *known])}",
            found=f"'{name}'",
            fix="choose one of these; 'learnedrecon env' shows what torch sees",
        )
    )


def make_accelerator(precision: Precision = "no", *, cpu: bool = False) -> Accelerator:
    """An accelerator of the given precision, independent of earlier ones.

    Accelerate stores one precision per process. Where only one process trains, it is reset here, so
    that runs of different precision can follow each other; earlier accelerators should then no
    longer be used.

    Only the configuration determines the way of training: environment variables by which Accelerate
    would train in another way raise an error. Several processes are started by torchrun; their
    group is left when the process exits.

    Args:
        precision: Precision of networks under autocast; operators run outside of autocast.
            ``auto`` is ``bf16`` on devices that multiply it in hardware, and ``no`` elsewhere.
        cpu: True to use the CPU even where there is a GPU.

    Raises:
        ConfigError: fp16 is asked for without a GPU, this machine does not support the precision,
            or an environment variable contradicts the configuration.
    """
    refuse_variables(os.environ, cpu=cpu)
    if precision == "auto":
        precision = fastest_precision("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    if AcceleratorState._shared_state and not AcceleratorState().use_distributed:  # noqa: SLF001 (Accelerate has no public way)
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 (see above)
    try:
        accelerator = Accelerator(
            mixed_precision=precision,
            cpu=cpu,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
    except (ValueError, RuntimeError) as error:
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 (see above)
        raise _cannot(precision, str(error)) from error
    if accelerator.use_distributed:
        atexit.register(_leave_group)
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise _cannot(precision, "only a CPU")
    return accelerator


def refuse_variables(variables: Mapping[str, str], *, cpu: bool) -> None:
    """Check that no environment variable makes Accelerate train in another way than configured.

    Args:
        variables: Environment variables.
        cpu: True if the configuration trains on the CPU.

    Raises:
        ConfigError: A variable of Accelerate is set, or a variable of several processes (as in an
            interactive Slurm or MPI shell) without those of torchrun.
    """
    allowed = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": {"1"}}
    if cpu:
        allowed["ACCELERATE_USE_CPU"] = {"1", "true", "yes", "on"}
    for name, value in variables.items():
        on = value.strip().lower() not in _OFF | allowed.get(name, set())
        if name.startswith("ACCELERATE_") and on and name not in _HARMLESS:
            raise _in_the_way(name, value, "say how to train in the configuration")
    several = [name for name in _SIZES if _number(variables, name, 1) != 1]
    several += ["LOCAL_RANK"] if _number(variables, "LOCAL_RANK", -1) != -1 else []
    missing = [name for name in _STARTED_BY_TORCHRUN if name not in variables]
    if several and missing:
        fix = f"start several processes by torchrun, which sets {', '.join(missing)} too"
        raise _in_the_way(several[0], variables[several[0]], fix)


def _number(variables: Mapping[str, str], name: str, default: int) -> int | None:
    try:
        return int(variables.get(name, default))
    except ValueError:
        return None


def _in_the_way(name: str, value: str, fix: str) -> ConfigError:
    return ConfigError(
        describe(
            expected="an environment that does not change how a run is trained",
            found=f"the variable {name}={value:.40}",
            fix=f"unset {name} ('env -u {name} ...'); {fix}",
        )
    )


def _leave_group() -> None:
    """Ends the group of processes, without which some of them abort when they exit."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def place(model: nn.Module, accelerator: Accelerator, *, channels_last: ChannelsLast) -> None:
    """Moves ``model`` to the device in place, and sets the memory format of its convolutions.

    Args:
        model: Model to move, which is to be trained.
        accelerator: Accelerator with the device.
        channels_last: True for the memory format channels_last; ``auto`` where it is faster.
    """
    model.to(accelerator.device)
    if channels_last == "auto":
        channels_last = channels_last_is_faster(accelerator.device, training=True)
    if channels_last:
        set_channels_last(model)


def across_processes(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """``model`` itself, or in a distributed run its wrapper that averages gradients.

    Accelerate would also patch ``model.forward`` for reduced precision, and copies would keep the
    patch. Autocast is therefore part of the update, and a single process needs no wrapper.

    Args:
        model: Model that is trained.
        accelerator: Accelerator of the run.
    """
    return accelerator.prepare_model(model) if accelerator.use_distributed else model


def _cannot(precision: str, found: str) -> ConfigError:
    return ConfigError(
        describe(
            expected=f"a machine that can train with precision '{precision}'",
            found=found,
            fix="use precision 'no', or 'bf16', which CPUs also support",
        )
    )
