"""Filters of orthogonal wavelets, and one decomposition level along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from learnedrecon.errors import GeometryError, describe
from learnedrecon.operators.imaging.boundary import extend

_BLOCK = 16


@lru_cache(maxsize=32)
def scaling_filter(name: str) -> tuple[float, ...]:
    """The low-pass decomposition filter h of a wavelet, Σ_k h_k h_{k+2m} = δ_m to rounding.

    PyWavelets tabulates some families with errors of 1e-11; steps of Newton's method, each the
    smallest one that solves the linearised equations, reduce the errors to 1e-16.

    Args:
        name: Name of the wavelet in PyWavelets.

    Raises:
        GeometryError: No such wavelet, or one that is not orthogonal.
    """
    import pywt  # noqa: PLC0415 - an extra

    if name not in pywt.wavelist(kind="discrete"):
        raise _no_wavelet(f"'{name}'")
    h = np.array(pywt.Wavelet(name).dec_lo)
    if not pywt.Wavelet(name).orthogonal or np.abs(_defect(h)).max() > 1e-8:
        raise _no_wavelet(f"'{name}', which is not")
    for _ in range(3):
        jacobian = np.array([_shifted(h, 2 * m) + _shifted(h, -2 * m) for m in range(len(h) // 2)])
        h = h - np.linalg.lstsq(jacobian, _defect(h), rcond=None)[0]
    return tuple(h.tolist())


@dataclass(frozen=True)
class Bank:
    """A two-channel filter bank as banded matrices that act on blocks of entries.

    c_i = Σ_t f_t x_{2i + t - (L/2 - 1)} on a circle, with f the reversed low-pass filter h for the
    first half of the result and its mirror f_t = (-1)^t h_t for the second half (Mallat, A Wavelet
    Tour of Signal Processing, section 7.5; the phase is that of PyWavelets' 'periodization'). The
    product with these matrices is a matrix product of the dense kind, which is fast on CPUs; the
    transpose has the same form.

    Attributes:
        analysis: Analysis matrix (block + L - 2, block), to the low-pass and then the high-pass
            entries of a block.
        synthesis: Synthesis matrices (2, block/2 + 2⌊L/4⌋, block), from the low-pass and from the
            high-pass entries.
    """

    analysis: Tensor
    synthesis: Tensor

    @property
    def length(self) -> int:
        """L, the number of coefficients of a filter."""
        return self.analysis.shape[0] - _BLOCK + 2

    @staticmethod
    def tensors(name: str) -> tuple[Tensor, Tensor]:
        """The analysis and synthesis matrices, float64."""
        low = np.array(scaling_filter(name))
        length, half = len(low), _BLOCK // 2
        signs = (-1.0) ** np.arange(length)
        filters = (low[::-1], signs * low)
        analysis = np.zeros((_BLOCK + length - 2, 2, half))
        synthesis = np.zeros((2, half + 2 * (length // 4), _BLOCK))
        for which, f in enumerate(filters):
            for i in range(half):
                analysis[2 * i : 2 * i + length, which, i] = f
            for s, m in np.ndindex(synthesis.shape[1:]):
                place = m - 2 * (s - length // 4) + length // 2 - 1
                if 0 <= place < length:
                    synthesis[which, s, m] = f[place]
        return torch.tensor(analysis.reshape(-1, _BLOCK)), torch.tensor(synthesis)

    def analyse(self, x: Tensor, axis: int) -> Tensor:
        """One decomposition level along an axis (negative): low-pass, then high-pass entries."""
        before, n, after = _around(x, axis)
        number = -(-n // _BLOCK)
        reach = self.length // 2 - 1
        wide = extend(x.reshape(before, n, after), _margins(reach, number * _BLOCK - n), "circular")
        windows = wide.unfold(1, self.analysis.shape[0], _BLOCK)
        y = _product(windows, self.analysis)
        y = y.reshape(before, number, 2, -1, after).transpose(1, 2)
        y = y.reshape(before, 2, -1, after)[:, :, : n // 2]
        return y.reshape(x.shape)

    def synthesise(self, y: Tensor, axis: int) -> Tensor:
        """The transpose of :meth:`analyse`, which is its inverse."""
        before, n, after = _around(y, axis)
        number = -(-n // _BLOCK)
        reach = self.length // 4
        short = number * (_BLOCK // 2) - n // 2
        halves = y.reshape(before * 2, n // 2, after)
        wide = extend(halves, _margins(reach, short), "circular")
        windows = wide.unfold(1, self.synthesis.shape[1], _BLOCK // 2)
        windows = windows.unflatten(0, (before, 2))
        x = _product(windows[:, 0], self.synthesis[0])
        x = x + _product(windows[:, 1], self.synthesis[1])
        return x.reshape(before, number * _BLOCK, after)[:, :n].reshape(y.shape)


def _product(windows: Tensor, matrix: Tensor) -> Tensor:
    """(A, blocks, C, window) by (window, block) to (A, blocks, block, C)."""
    if windows.shape[2] == 1:
        rows = windows.reshape(-1, matrix.shape[0])  # one product, not one for every line
        return (rows @ matrix).reshape(*windows.shape[:2], -1, 1)
    return matrix.T @ windows.mT


def _around(x: Tensor, axis: int) -> tuple[int, int, int]:
    """The numbers of entries before, along and after an axis."""
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[x.ndim + axis + 1 :]
    return before.numel(), n, after.numel()


def _margins(reach: int, short: int) -> list[tuple[int, int]]:
    return [(reach, reach + short), (0, 0)]


def _defect(h: np.ndarray) -> np.ndarray:
    """Σ_k h_k h_{k+2m} - δ_m."""
    found = np.array([h @ _shifted(h, 2 * m) for m in range(len(h) // 2)])
    found[0] -= 1
    return found


def _shifted(h: np.ndarray, m: int) -> np.ndarray:
    """h_{k+m}, zero where there is none."""
    moved = np.zeros_like(h)
    if m >= 0:
        moved[: len(h) - m] = h[m:]
    else:
        moved[-m:] = h[:m]
    return moved


def _no_wavelet(found: str) -> GeometryError:
    return GeometryError(
        describe(
            expected="an orthogonal wavelet of PyWavelets",
            found=found,
            fix="choose haar, db1 to db38, sym2 to sym20, or coif1 to coif17",
        )
    )
