"""Memory format and precision in which a device computes convolutions fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import torch

if TYPE_CHECKING:
    from torch import nn

    Net = TypeVar("Net", bound=nn.Module)

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def set_channels_last(model: Net) -> Net:
    """The same model, with convolution weights in the memory format channels_last, in place.

    torch then computes the activations in this format too. Images and states keep theirs, and
    results change by rounding only.

    Args:
        model: Model; its weights with four or five axes change their memory format.
    """
    for weight in model.parameters():
        if layout := _CHANNELS_LAST.get(weight.ndim):
            weight.data = weight.data.contiguous(memory_format=layout)
    return model


def channels_last_is_faster(device: torch.device | str, *, training: bool) -> bool:
    """True where 3×3 convolutions with some 32 channels take less time in channels_last.

    On CPUs this holds with AVX-512, and otherwise forwards only: with AVX2 the backward pass of
    images of 362² takes twice as long (``python -m benchmarks.layouts``). On a GPU it was not
    measured, and is False.

    Args:
        device: Device of the model.
        training: True if gradients are needed.
    """
    if torch.device(device).type != "cpu":
        return False
    return not training or has_avx512()


def fastest_precision(device: torch.device | str) -> Literal["no", "bf16"]:
    """``bf16`` where the device multiplies bfloat16 in hardware, ``no`` (float32) elsewhere.

    Args:
        device: Device of the model.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    able = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "no"


def has_avx512() -> bool:
    """True if torch's kernels run with AVX-512 on this CPU."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"
