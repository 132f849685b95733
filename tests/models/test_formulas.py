"""Every method once more in numpy: dense matrices, convolutions by scipy, windows by loops."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate2d
from torch import nn

from learnedrecon.models.classical import FBP
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.models.learned_gradient import LearnedGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.post_processing import PostProcessing
from learnedrecon.models.start import FilteredBackprojection
from learnedrecon.networks.unet import UNet, UNetSpec
from learnedrecon.operators.ray.geometry2d import FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor

Array: TypeAlias = NDArray[np.float64]

ANGLES = (0.1, 0.9, 1.4, 2.2, 2.9)
PITCH, OFFSET = 1.1, 0.6
GEOMETRY = ParallelBeam((7, 6), ANGLES, FlatDetector(11, PITCH, OFFSET), (0.9, 1.2))
RAY = RayTransform(GEOMETRY, torch.float64)
P: Array = dense_matrix(RAY).numpy()
NORM = RAY.norm()
IMAGE, DATA = GEOMETRY.shape, GEOMETRY.data_shape
C = 0.3
MU = 0.05


def forward(u: Array) -> Array:
    return (P @ u.ravel()).reshape(DATA)


def transposed(v: Array) -> Array:
    return (P.T @ v.ravel()).reshape(IMAGE)


def laplacian(u: Array) -> Array:
    """∇*∇u, the sum of the differences to the neighbours."""
    total = np.zeros(IMAGE)
    for y, x in np.ndindex(IMAGE):
        for i, j in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if 0 <= i < IMAGE[0] and 0 <= j < IMAGE[1]:
                total[y, x] += u[y, x] - u[i, j]
    return total


def ramp(v: Array) -> Array:
    """The convolution of every row with h[0] = 1/4, h[k] = -1/(πk)² for odd k."""
    n = v.shape[-1]
    kernel = np.array([[_tap(i - j) for j in range(n)] for i in range(n)])
    return v @ kernel


def _tap(k: int) -> float:
    if k == 0:
        return 0.25
    return -1.0 / (math.pi * k) ** 2 if k % 2 else 0.0


def hann(v: Array, bandwidth: float) -> Array:
    """The ramp times ½(1 + cos(πf/f_c)), by a discrete Fourier transform of length 24."""
    taps = np.array([_tap(k if k <= 12 else k - 24) for k in range(24)])
    relative = np.abs(np.fft.fftfreq(24)) / 0.5 / bandwidth
    window = np.where(relative <= 1, 0.5 * (1 + np.cos(np.pi * relative)), 0.0)
    spectrum = np.fft.fft(v, 24) * np.fft.fft(taps) * window
    filtered: Array = np.fft.ifft(spectrum).real[..., : v.shape[-1]]
    return filtered


def backprojected(filtered: Array) -> Array:
    """Σ_θ w_θ q_θ(s_θ(x)) / pitch, with w_θ half the gap to either neighbour modulo π."""
    theta = np.array(ANGLES)
    gaps = np.diff(theta, append=theta[0] + math.pi)
    weights = (gaps + np.roll(gaps, 1)) / 2
    s = np.arange(-1, DATA[1] + 1) * PITCH - (DATA[1] - 1) / 2 * PITCH - OFFSET
    u = np.zeros(IMAGE)
    for iy, ix in np.ndindex(IMAGE):
        y, x = (iy - 3.0) * 0.9, (ix - 2.5) * 1.2
        for w, angle, row in zip(weights, theta, filtered, strict=True):
            at = x * math.cos(angle) + y * math.sin(angle)
            u[iy, ix] += w / PITCH * np.interp(at, s, np.pad(row, 1))
    return u


def convolved(layer: nn.Conv2d, x: Array) -> Array:
    weight, bias = numbers(layer.weight), numbers(layer.bias)
    mode = "same" if layer.padding != (0, 0) else "valid"
    return np.stack(
        [
            sum(correlate2d(a, k, mode) for a, k in zip(x, kernels, strict=True)) + b
            for kernels, b in zip(weight, bias, strict=True)
        ]
    )


def upsampled(layer: nn.ConvTranspose2d, x: Array) -> Array:
    weight, bias = numbers(layer.weight), numbers(layer.bias)
    return bias[:, None, None] + sum(
        np.stack([np.kron(a, k) for k in kernels]) for a, kernels in zip(x, weight, strict=True)
    )


def normed(layer: nn.GroupNorm, x: Array) -> Array:
    groups = x.reshape(layer.num_groups, -1)
    centred = groups - groups.mean(1, keepdims=True)
    scaled = centred / np.sqrt(groups.var(1, keepdims=True) + layer.eps)
    gain, shift = (numbers(p)[:, None, None] for p in (layer.weight, layer.bias))
    return scaled.reshape(x.shape) * gain + shift


def layers(modules: Iterable[nn.Module], x: Array) -> Array:
    for module in modules:
        if isinstance(module, nn.Conv2d):
            x = convolved(module, x)
        elif isinstance(module, nn.GroupNorm):
            x = normed(module, x)
        elif isinstance(module, nn.PReLU):
            x = np.where(x > 0, x, numbers(module.weight)[:, None, None] * x)
        elif isinstance(module, nn.LeakyReLU):
            x = np.where(x > 0, x, module.negative_slope * x)
        else:
            assert isinstance(module, nn.ReLU)
            x = np.maximum(x, 0)
    return x


def unet(network: UNet, u: Array) -> Array:
    """One halving of a 7×6 image, which is extended by one row to 8×6."""
    padded = np.pad(u, ((0, 1), (0, 0)), mode="edge")[None]
    fine = layers(network.encoder[0].children(), padded)
    pooled = fine.reshape(len(fine), 4, 2, 3, 2).max(axis=(2, 4))
    coarse = layers(network.encoder[1].children(), pooled)
    (up,) = network.up
    assert isinstance(up, nn.ConvTranspose2d)
    merged = np.concatenate([fine, upsampled(up, coarse)])
    merged = layers(network.decoder[0].children(), merged)
    assert isinstance(network.head, nn.Conv2d)
    result: Array = u + convolved(network.head, merged)[0, :7]
    return result


def numbers(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None
    values: Array = tensor.detach().numpy()
    return values


def with_random_weights(model: Reconstructor) -> Reconstructor:
    generator = torch.Generator().manual_seed(3)
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model


def data(operator: Operator = RAY) -> torch.Tensor:
    generator = torch.Generator().manual_seed(11)
    u = C * torch.rand(2, 1, *IMAGE, generator=generator, dtype=torch.float64)
    return operator(u) + 0.01 * torch.randn(2, 1, *DATA, generator=generator, dtype=torch.float64)


def images(model: Reconstructor, y: torch.Tensor, operator: Operator = RAY) -> Array:
    return numbers(model(InverseProblem(operator, y)).image)[:, 0]


def assert_close(found: Array, expected: list[Array]) -> None:
    assert np.abs(found).max() > 1e-2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(found).max())


def test_the_norm_is_the_largest_singular_value() -> None:
    assert pytest.approx(np.linalg.norm(P, 2), rel=1e-6) == NORM


def test_fbp() -> None:
    y = data()
    expected = [backprojected(ramp(v[0])) for v in y.numpy()]
    assert_close(images(FBP(), y), expected)


def test_fbp_with_a_window() -> None:
    y = data()
    expected = [backprojected(hann(v[0], 0.7)) for v in y.numpy()]
    assert_close(images(FBP("hann", 0.7), y), expected)


def test_learned_gradient() -> None:
    model = with_random_weights(LearnedGradient(iterations=3, image_scale=C))
    (network,) = (m for m in model.modules() if isinstance(m, nn.Sequential))

    def scheme(y: Array) -> Array:
        u, s = backprojected(ramp(y)) / C, np.zeros((5, *IMAGE))
        for _ in range(3):
            gradient = transposed(forward(u) / NORM - y / (C * NORM)) / NORM
            out = layers(network, np.stack([u, gradient, laplacian(u), *s]))
            u, s = u + out[0], np.maximum(out[1:], 0)
        return C * u

    y = data()
    assert_close(images(model, y), [scheme(v[0]) for v in y.numpy()])


def test_learned_primal_dual() -> None:
    model = with_random_weights(LearnedPrimalDual(iterations=2, hidden=8, image_scale=C))
    networks = [m for m in model.modules() if isinstance(m, nn.Sequential)]

    def scheme(y: Array) -> Array:
        u, h = np.zeros((5, *IMAGE)), np.zeros((5, *DATA))
        for dual, primal in zip(networks[::2], networks[1::2], strict=True):
            h = h + layers(dual, np.stack([*h, forward(u[1]) / NORM, y / (C * NORM)]))
            u = u + layers(primal, np.stack([*u, transposed(h[0]) / NORM]))
        return C * u[0]

    y = data()
    assert_close(images(model, y), [scheme(v[0]) for v in y.numpy()])


def test_nonlinear_learned_primal_dual() -> None:
    operator = TransmissionCT(Transmission(GEOMETRY, MU), torch.float64)
    model = with_random_weights(LearnedPrimalDual(iterations=3, hidden=8, image_scale=C))
    networks = [m for m in model.modules() if isinstance(m, nn.Sequential)]

    def transmission(u: Array) -> Array:
        return np.exp(-MU * C * forward(u))

    def scheme(y: Array) -> Array:
        u, h = np.zeros((5, *IMAGE)), np.zeros((5, *DATA))
        for dual, primal in zip(networks[::2], networks[1::2], strict=True):
            h = h + layers(dual, np.stack([*h, transmission(u[1]), y]))
            back = -MU * C * transposed(transmission(u[0]) * h[0])
            u = u + layers(primal, np.stack([*u, back]))
        return C * u[0]

    y = data(operator)
    assert_close(images(model, y, operator), [scheme(v[0]) for v in y.numpy()])


def test_filtered_primal_dual() -> None:
    model = with_random_weights(FilteredPrimalDual(2, 3, 2, 6, start="fbp", image_scale=C))
    networks = [m for m in model.modules() if isinstance(m, nn.Sequential)]

    def scheme(y: Array) -> Array:
        start = backprojected(hann(y, 0.8)) / C
        u, h = np.stack([start, 0 * start, 0 * start]), np.zeros((2, *DATA))
        for dual, primal in zip(networks[::2], networks[1::2], strict=True):
            prediction, seen = forward(u[0]) / NORM, y / (C * NORM)
            h = h + layers(dual, np.stack([*h, prediction, seen]))
            residual = seen - prediction
            backs = [transposed(v) / NORM for v in (h[0], residual, 2 * 11 * ramp(residual))]
            u = u + layers(primal, np.stack([*u, *backs]))
        return C * u[0]

    y = data()
    assert_close(images(model, y), [scheme(v[0]) for v in y.numpy()])


def test_post_processing() -> None:
    start, spec = FilteredBackprojection("hann", 0.9), UNetSpec(base=4, depth=1, groups=2)
    model = with_random_weights(PostProcessing(spec, start=start, image_scale=C))
    (network,) = (m for m in model.modules() if isinstance(m, UNet))
    y = data()
    starts = [backprojected(hann(v[0], 0.9)) for v in y.numpy()]
    assert_close(images(model, y), [C * unet(network, u / C) for u in starts])
