"""FFT-SENSE by deepinv and by SigPy, with the options that bear on speed."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from benchmarks.against.stand_in import deepinv

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DEEPINV, SIGPY = "deepinv MultiCoilMRI", "SigPy Sense"
COILS_AT_ONCE = (None, 1, 5)


class Peer(NamedTuple):
    """Functions of an image in the layout of the peer.

    Attributes:
        name: with its options.
        image: the peer's layout of a complex (ny, nx).
        both: A*A.
        differentiable: A*A for autograd.
        result: back to a complex (ny, nx).
        tensor: the peer's layout for autograd.
    """

    name: str
    image: Any
    both: Callable[[Any], Any]
    differentiable: Callable[[Tensor], Tensor]
    result: Callable[[Any], Tensor]
    tensor: Tensor


def sense_peers(mask: Tensor, maps: Tensor, u: Tensor) -> tuple[list[Peer], list[str]]:
    """The peers that are installed, and the names of those that are not.

    Args:
        mask: (ky, kx), of zeros and ones.
        maps: (coil, ny, nx), complex64.
        u: (ny, nx), complex64.
    """
    peers: list[Peer] = []
    absent = []
    if importlib.util.find_spec("deepinv"):
        peers.append(_deepinv(mask, maps, u))
    else:
        absent.append(DEEPINV)
    if importlib.util.find_spec("sigpy"):
        peers += [_sigpy(mask, maps, u, number) for number in COILS_AT_ONCE]
    else:
        absent.append(SIGPY)
    return peers, absent


def _deepinv(mask: Tensor, maps: Tensor, u: Tensor) -> Peer:
    module = deepinv("physics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        physics = module.MultiCoilMRI(mask=mask.float(), coil_maps=maps)
    image = torch.stack([u.real, u.imag])[None]

    def act(x: Tensor) -> Tensor:
        return physics.A_adjoint(physics.A(x))

    return Peer(DEEPINV, image, act, act, lambda x: torch.complex(*x[0]), image)


def _sigpy(mask: Tensor, maps: Tensor, u: Tensor, number: int | None) -> Peer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linop = importlib.import_module("sigpy.mri.linop").Sense(
            maps.numpy(), weights=mask.float().numpy(), coil_batch_size=number
        )
        bridge = importlib.import_module("sigpy.pytorch").to_pytorch_function
    adjoint = linop.H
    forward_function, adjoint_function = (
        bridge(one, input_iscomplex=True, output_iscomplex=True) for one in (linop, adjoint)
    )

    def differentiable(x: Tensor) -> Tensor:
        return adjoint_function.apply(forward_function.apply(x))

    coils = "all coils at once" if number is None else f"coils in groups of {number}"
    return Peer(
        f"{SIGPY}, {coils}",
        u.numpy(),
        lambda x: adjoint(linop(x)),
        differentiable,
        torch.from_numpy,
        torch.view_as_real(u).contiguous(),
    )
