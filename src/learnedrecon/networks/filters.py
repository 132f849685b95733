"""The ramp filter of filtered backprojection, differentiable and without parameters.

The kernel is the band-limited one of Ramachandran and Lakshminarayanan (1971), sampled at unit
pitch: h[0] = 1/4, h[k] = -1/(π²k²) for odd k, and 0 for even k ≠ 0. Its transform is the frequency
response, not a sampled ``abs(f)``, which has a wrong mean and makes the image darker or brighter
(Kak, Slaney 1988, section 3.3). For a pitch of τ mm, divide the result by τ.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import nn

from learnedrecon.errors import ConfigError, DtypeError, ShapeError, describe

Window: TypeAlias = Literal["ram-lak", "hann"]


def padded_length(n: int) -> int:
    """The least even number ≥ 2n without prime factors above 5: no wrap-around, and a fast FFT.

    Args:
        n: Number of detectors.

    Raises:
        ShapeError: ``n`` is not positive.
    """
    if n < 1:
        raise ShapeError(
            describe(expected="at least 1 detector", found=f"n={n}", fix="give data to filter")
        )
    length = 2 * n
    while not _is_smooth(length):
        length += 2
    return length


def ramp_response(
    n: int, window: Window, bandwidth: float, dtype: torch.dtype, device: torch.device | str
) -> torch.Tensor:
    """The frequency response of the filter for ``n`` detectors at unit pitch.

    Args:
        n: Number of detectors.
        window: "ram-lak" (a box) or "hann", 0.5(1 + cos(πf/f_c)).
        bandwidth: Cut-off frequency f_c as a fraction of the Nyquist frequency, in (0, 1]; the
            response is zero above.
        dtype: float32 or float64 (the computation is in float64).
        device: Device of the computation and the result.

    Returns:
        Real response (N/2 + 1,) for N = ``padded_length(n)``: frequencies 0, 1/N, ..., 1/2.

    Raises:
        ConfigError: The window is unknown, or the bandwidth is outside (0, 1].
        DtypeError: ``dtype`` is neither float32 nor float64.
        ShapeError: ``n`` is not positive.
    """
    _check_window(window, bandwidth)
    _check_dtype(dtype)
    length = padded_length(n)
    k = torch.arange(length, device=device)
    distance = torch.minimum(k, length - k).to(torch.float64)
    odd = -1.0 / (torch.pi * distance.clamp(min=1.0)) ** 2
    kernel = torch.where(k % 2 == 1, odd, torch.zeros_like(odd))
    kernel[0] = 0.25
    ramp = torch.fft.rfft(kernel).real
    relative = torch.linspace(0.0, 1.0, length // 2 + 1, dtype=torch.float64, device=device)
    return (ramp * _window(relative / bandwidth, window)).to(dtype)


def equiangular_response(response: torch.Tensor, n: int, pitch: float) -> torch.Tensor:
    """The response for rays at equal angles, whose kernel is h[k]·(kα/sin(kα))².

    Kak, Slaney 1988, section 3.4.1, with the pitch α between rays of a fan.

    Args:
        response: Frequency response of the kernel h for rays at equal distances, (N/2 + 1,), by
            :func:`ramp_response`.
        n: Number of detectors.
        pitch: α in radians; (n - 1)·α < π.

    Returns:
        Of the same shape, type and device.
    """
    length = 2 * (len(response) - 1)
    k = torch.arange(length, device=response.device)
    lag = torch.minimum(k, length - k).to(torch.float64)
    angle = torch.where(lag < n, lag, 0.0) * pitch
    stretch = torch.where(angle > 0, angle / angle.sin(), 1.0).square()
    kernel = torch.fft.irfft(response.to(torch.float64), n=length)
    return torch.fft.rfft(kernel * stretch).real.to(response.dtype)


def apply_filter(data: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """The convolution of the last axis of ``data`` with the kernel whose transform is ``response``.

    On the unpadded axis this is a symmetric Toeplitz matrix: the operator is its own adjoint.

    Args:
        data: Real data, (..., n).
        response: Real response (N/2 + 1,) for an even N ≥ 2n, in the dtype and on the device of
            ``data``.

    Returns:
        Filtered data, real, (..., n).

    Raises:
        ShapeError: ``response`` does not have one axis, or is too short, so that the ends would
            wrap around.
        DtypeError: ``data`` is not float32 or float64, or ``response`` has another dtype.
    """
    _check_dtype(data.dtype)
    if response.dtype != data.dtype:
        raise DtypeError(
            describe(
                expected=f"a response in the type of the data, {data.dtype}",
                found=str(response.dtype),
                fix="give the type of the data to ramp_response",
            )
        )
    if data.ndim < 1 or response.ndim != 1 or 2 * (len(response) - 1) < 2 * data.shape[-1]:
        raise ShapeError(
            describe(
                expected="data (..., n) and a response (N/2 + 1,) with N ≥ 2n",
                found=f"data {tuple(data.shape)} and response {tuple(response.shape)}",
                fix="make the response by ramp_response with the n of the data",
            )
        )
    length = 2 * (len(response) - 1)
    spectrum = torch.fft.rfft(data, n=length) * response
    return torch.fft.irfft(spectrum, n=length)[..., : data.shape[-1]]


class RampFilter(nn.Module):
    """The ramp filter along the last axis, at unit pitch: (..., n) to (..., n).

    It has no parameters and no buffers: the response is computed from n in float64 at each call, a
    transform of one row, so that ``.to()`` needs no update.

    Args:
        detectors: Required number n of detectors, or None for any.
        window: "ram-lak" or "hann".
        bandwidth: Cut-off frequency as a fraction of the Nyquist frequency, in (0, 1].

    Raises:
        ConfigError: The window is unknown, the bandwidth is outside (0, 1], or there are no
            detectors.
    """

    def __init__(
        self, detectors: int | None = None, *, window: Window = "ram-lak", bandwidth: float = 1.0
    ) -> None:
        super().__init__()
        _check_window(window, bandwidth)
        if detectors is not None and detectors < 1:
            raise ConfigError(
                describe(
                    expected="detectors to be None or at least 1",
                    found=f"detectors={detectors}",
                    fix="give the number of detector pixels",
                )
            )
        self.detectors = detectors
        self.window: Window = window
        self.bandwidth = bandwidth

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        """The filtered last axis of ``data``.

        Raises:
            ShapeError: There is no axis, or the last one is empty or does not have the length
                ``detectors``.
            DtypeError: ``data`` is not float32 or float64.
        """
        n = data.shape[-1] if data.ndim else 0
        if n == 0 or self.detectors not in {None, n}:
            raise ShapeError(
                describe(
                    expected=f"data (..., {self.detectors or 'n'})",
                    found=f"shape {tuple(data.shape)}",
                    fix="put the detector axis last, or build RampFilter for this number",
                )
            )
        response = ramp_response(n, self.window, self.bandwidth, data.dtype, data.device)
        return apply_filter(data, response)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"detectors={self.detectors}, window={self.window!r}, bandwidth={self.bandwidth}"


def _window(relative: torch.Tensor, window: Window) -> torch.Tensor:
    inside = (relative <= 1.0).to(relative.dtype)
    return inside if window == "ram-lak" else inside * 0.5 * (1.0 + torch.cos(torch.pi * relative))


def _is_smooth(length: int) -> bool:
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return length == 1


def _check_window(window: str, bandwidth: float) -> None:
    if window not in {"ram-lak", "hann"} or not 0.0 < bandwidth <= 1.0:
        raise ConfigError(
            describe(
                expected="window 'ram-lak' or 'hann', and a bandwidth in (0, 1]",
                found=f"window={window!r} and bandwidth={bandwidth}",
                fix="choose one of the two windows, and 1.0 for no cut",
            )
        )


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in {torch.float32, torch.float64}:
        raise DtypeError(
            describe(
                expected="float32 or float64",
                found=str(dtype),
                fix="convert the data; filter real and imaginary part of complex data apart",
            )
        )
