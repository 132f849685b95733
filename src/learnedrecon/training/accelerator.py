"""The device, the precision and the processes of a run, by Hugging Face Accelerate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from torch import nn

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

Precision = Literal["no", "bf16", "fp16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device that a user names; ``cuda:k`` also becomes the current GPU.

    Args:
        name: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:k".

    Raises:
        ConfigError: another name, or a GPU that is not there.
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
    """An accelerator in the given precision; it may follow one of another precision.

    Accelerate keeps one precision for a process. Where only one process trains, that is forgotten
    here, so that runs of different precision can follow each other; earlier accelerators should
    then no longer be used.

    Args:
        precision: of networks under autocast; operators leave it by themselves.
        cpu: use the CPU even where there is a GPU.

    Raises:
        ConfigError: fp16 without a GPU, or a precision that this machine has not.
    """
    if AcceleratorState._shared_state and not AcceleratorState().use_distributed:  # noqa: SLF001 (Accelerate has no public way)
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 (see above)
    try:
        accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
    except (ValueError, RuntimeError) as error:
        raise _cannot(precision, str(error)) from error
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise _cannot(precision, "only a CPU")
    return accelerator


def place(model: nn.Module, accelerator: Accelerator, *, channels_last: bool) -> None:
    """Moves ``model`` to the device, in place, and lays out its convolution weights."""
    model.to(accelerator.device)
    if channels_last:
        for weight in model.parameters():
            if layout := _CHANNELS_LAST.get(weight.ndim):
                weight.data = weight.data.contiguous(memory_format=layout)


def across_processes(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """``model`` itself, or in a distributed run its wrapper that averages gradients.

    Accelerate would also patch ``model.forward`` for reduced precision, and the patch survives
    copying; so autocast is left to the update, and a single process needs no wrapper.
    """
    return accelerator.prepare_model(model) if accelerator.use_distributed else model


def _cannot(precision: str, found: str) -> ConfigError:
    return ConfigError(
        describe(
            expected=f"a machine that can train in precision '{precision}'",
            found=found,
            fix="use precision 'no', or 'bf16' which CPUs have too",
        )
    )
