"""Blur against scipy.ndimage, dense matrices, and itself by the other method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import normal

from learnedrecon.errors import DtypeError, GeometryError, LearnedReconError, ShapeError
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.convolution import good_length
from learnedrecon.operators.imaging.point_spread import Box, Gaussian
from learnedrecon.operators.norm import lanczos_norm
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DOUBLE = torch.float64
NDIMAGE = {
    "circular": "grid-wrap",
    "symmetric": "reflect",
    "reflect": "mirror",
    "edge": "nearest",
    "zero": "grid-constant",
}
sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7)), min_size=1, max_size=3)


def blur(shape: tuple[int, ...], kernel: Any, *args: Any, **options: Any) -> Blur:
    return Blur(PointSpread(shape, kernel, *args, **options), DOUBLE)


@pytest.mark.parametrize("boundary", NDIMAGE)
@given(pairs=sizes)
@settings(max_examples=15, deadline=None)
def test_it_is_the_convolution_of_ndimage(boundary: str, pairs: list[tuple[int, int]]) -> None:
    shape, kernel = zip(*pairs, strict=True)
    u, k = normal(2, *shape), normal(*kernel)
    if boundary == "reflect" and min(shape) == 1:
        return  # ndimage and NumPy go on differently from a single pixel
    expected = [
        scipy.ndimage.convolve(each.numpy(), k.numpy(), mode=NDIMAGE[boundary]) for each in u
    ]
    for method in ("direct", "fft"):
        value = blur(shape, k, boundary, method=method)(u)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-12)


@given(pairs=sizes, method=st.sampled_from(["direct", "fft"]))
@settings(max_examples=25, deadline=None)
def test_the_valid_part_is_that_of_scipy(pairs: list[tuple[int, int]], method: str) -> None:
    shape = tuple(max(pair) for pair in pairs)
    k = normal(*(min(pair) for pair in pairs))
    u = normal(*shape)
    value = blur(shape, k, "valid", method=method)(u)
    expected = scipy.signal.convolve(u.numpy(), k.numpy(), "valid")
    np.testing.assert_allclose(value.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("boundary", [*NDIMAGE, "valid"])
@given(pairs=sizes, seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_both_methods_are_the_same_map_and_transpose(
    boundary: str, pairs: list[tuple[int, int]], seed: int
) -> None:
    shape = tuple(max(pair) if boundary == "valid" else pair[0] for pair in pairs)
    kernel = tuple(min(pair) if boundary == "valid" else pair[1] for pair in pairs)
    centre = tuple(seed % k for k in kernel)
    direct, fourier = (
        dense_matrix(blur(shape, normal(*kernel), boundary, centre, method=method))
        for method in ("direct", "fft")
    )
    torch.testing.assert_close(direct, fourier, rtol=0, atol=1e-12)
    adjoint = dense_matrix(blur(shape, normal(*kernel), boundary, centre).H)
    torch.testing.assert_close(adjoint, direct.T, rtol=0, atol=1e-12)


def test_the_centre_stands_over_the_pixel() -> None:
    impulse = torch.zeros(9, dtype=DOUBLE)
    impulse[4] = 1
    kernel = torch.arange(1.0, 5.0, dtype=DOUBLE)
    for centre in range(4):
        value = blur((9,), kernel, "zero", (centre,))(impulse)
        torch.testing.assert_close(value[4 - centre : 8 - centre], kernel)
    assert blur((9,), kernel).spread.plan(DOUBLE).centre == (2,)


@pytest.mark.parametrize("boundary", [*NDIMAGE, "valid"])
def test_the_norm_is_the_largest_singular_value(boundary: str) -> None:
    operator = blur((9, 8), normal(3, 4), boundary)
    exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-8)


def test_the_norm_in_closed_form_is_that_of_lanczos() -> None:
    operator = blur((32, 30), normal(5, 6))
    assert operator.norm() == pytest.approx(lanczos_norm(operator).norm, rel=1e-6)
    assert blur((32, 30), Gaussian(1.5)).norm() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_one_complex_image_meets_the_kernel_of_every_sample(kind: torch.dtype, method: Any) -> None:
    """Its real and imaginary parts are not taken for samples."""
    plain = Blur(PointSpread((5, 6), Box((2, 3)), "symmetric", method=method), torch.complex128)
    generator = torch.Generator().manual_seed(3)
    kernels = torch.randn(2, 1, 2, 3, dtype=kind, generator=generator)
    operator = plain.with_tensors({"kernel": kernels})
    u, v = plain.domain.random(generator), plain.codomain.random(generator)
    singles = [plain.with_tensors({"kernel": kernel[0]}) for kernel in kernels]
    torch.testing.assert_close(operator(u), torch.stack([T(u)[None] for T in singles]))
    stars = torch.stack([T.adjoint(v)[None] for T in singles])
    torch.testing.assert_close(operator.adjoint(v), stars)


def test_every_sample_has_the_norm_of_its_kernel() -> None:
    for boundary in ("circular", "symmetric"):
        kernels = normal(3, 1, 2, 3)
        operator = blur((6, 5), normal(2, 3), boundary)
        each = [operator.with_tensors({"kernel": kernel}).norm() for kernel in kernels[:, 0]]
        norms = operator.with_tensors({"kernel": kernels}).norm()
        torch.testing.assert_close(norms, torch.tensor(each, dtype=torch.float64)[:, None])


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("method", ["direct", "fft"])
def test_normal_inverse_solves_the_regularised_equation(dtype: torch.dtype, method: Any) -> None:
    operator = Blur(PointSpread((9, 8), Box((2, 3)), method=method), dtype)
    b = operator.domain.random(leading=(2, 1))
    for weight in (0.1, torch.tensor([0.1, 3.0], dtype=DOUBLE).reshape(2, 1, 1, 1)):
        u = operator.normal_inverse(b, weight)
        assert u is not None
        torch.testing.assert_close(operator.adjoint(operator(u)) + weight * u, b)
    assert blur((9, 8), Box(2), "symmetric").normal_inverse(b, 1.0) is None


def test_normal_inverse_with_a_kernel_for_each_sample() -> None:
    operator = blur((7, 6), normal(2, 3)).with_tensors({"kernel": normal(2, 1, 2, 3)})
    b = normal(2, 3, 7, 6)
    u = operator.normal_inverse(b, 0.5)
    assert u is not None
    torch.testing.assert_close(operator.adjoint(operator(u)) + 0.5 * u, b)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("boundary", [*NDIMAGE, "valid"])
@pytest.mark.parametrize("method", ["direct", "fft"])
def test_gradients_in_the_kernel(boundary: str, method: str) -> None:
    operator = blur((5, 4), normal(2, 3), boundary, method=method)

    def forward(u: Tensor, kernel: Tensor) -> Tensor:
        return operator.with_tensors({"kernel": kernel})(u)

    def adjoint(v: Tensor, kernel: Tensor) -> Tensor:
        return operator.with_tensors({"kernel": kernel}).adjoint(v)

    u, kernel = normal(2, 1, 5, 4).requires_grad_(), normal(2, 1, 2, 3).requires_grad_()
    v = operator(u).detach().requires_grad_()
    for function, argument in ((forward, u), (adjoint, v)):
        assert torch.autograd.gradcheck(function, (argument, kernel), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (argument, kernel))


def test_a_kernel_that_requires_gradients_keeps_its_graph_apart_from_call_to_call() -> None:
    kernel = normal(3, 3).requires_grad_()
    twin = blur((8, 8), Box(3), method="fft").with_tensors({"kernel": kernel})
    for _ in range(2):  # a graph shared by both would have been freed
        twin(normal(2, 1, 8, 8)).square().sum().backward()
    assert kernel.grad is not None


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_transforms_of_functions(method: str) -> None:
    operator = blur((6, 5), normal(3, 2), "symmetric", method=method)
    u, kernels = normal(4, 2, 6, 5), normal(4, 3, 2)
    torch.testing.assert_close(torch.func.vmap(operator)(u), operator(u))

    def of_kernel(kernel: Tensor, image: Tensor) -> Tensor:
        return operator.with_tensors({"kernel": kernel})(image)

    mapped = torch.func.vmap(of_kernel)(kernels, u)
    singles = torch.stack([of_kernel(k, x) for k, x in zip(kernels, u, strict=True)])
    torch.testing.assert_close(mapped, singles)
    gradient = torch.func.grad(lambda k: of_kernel(k, u).square().sum())(kernels[0])
    leaf = kernels[0].clone().requires_grad_()
    (expected,) = torch.autograd.grad(of_kernel(leaf, u).square().sum(), leaf)
    torch.testing.assert_close(gradient, expected)


def test_it_works_in_the_precision_of_its_argument() -> None:
    for kernel in (Gaussian(0.7), Gaussian(2.0)):
        narrow = Blur(PointSpread((20, 24), kernel, "symmetric"))
        u = normal(20, 24)
        expected = blur((20, 24), kernel, "symmetric")(u)
        torch.testing.assert_close(narrow(u), expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(narrow.to(DOUBLE)(u), expected, rtol=0, atol=1e-14)
        assert narrow.to(torch.float32)(u.float()).dtype == torch.float32


def test_it_may_be_made_in_inference_mode() -> None:
    with torch.inference_mode():
        operator = blur((16, 16), Gaussian(2.0))
    u = normal(16, 16).requires_grad_()
    operator(u).sum().backward()
    assert u.grad is not None


def test_large_kernels_go_through_fourier_transforms() -> None:
    plans = [PointSpread((64, 64), Box(size)).plan(torch.float32) for size in (5, 31)]
    assert [plan.by_fft for plan in plans] == [False, True]


def test_lengths_of_fourier_transforms() -> None:
    found = [good_length(n) for n in (1, 11, 97, 256, 257, 1021)]
    assert found == [1, 12, 98, 256, 270, 1024]


def test_a_gaussian_is_that_of_ndimage() -> None:
    u = normal(30, 26)
    for truncate in (3.0, 4.0):
        value = blur((30, 26), Gaussian((1.0, 2.0), truncate), "symmetric")(u)
        expected = scipy.ndimage.gaussian_filter(u.numpy(), (1.0, 2.0), truncate=truncate)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize(
    "spread",
    [
        PointSpread((8, 9), Gaussian(1.5), "reflect"),
        PointSpread((8, 9), Box((2, 3)), "valid", method="direct"),
        PointSpread((8, 9), ((0.0, 1.0), (2.0, 3.0)), centre=(0, 1)),
        PointSpread((8,), (0.5, 0.5), "zero"),
    ],
)
def test_plain_data_and_back(spread: PointSpread) -> None:
    plain = named_to_plain(OPERATORS, spread)
    assert plain["name"] == "blur"
    again = named_from_plain(OPERATORS, plain)
    assert again == spread
    u = torch.rand(spread.shape)
    torch.testing.assert_close(build(OPERATORS, again)(u), Blur(spread)(u))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: blur((8, 8), normal(3)), GeometryError, "axes of the image"),
        (lambda: blur((2, 8), normal(3, 3), "valid"), GeometryError, "no larger"),
        (lambda: blur((8, 8), normal(3, 3), centre=(3, 0)), GeometryError, "centre inside"),
        (lambda: blur((8, 8), [[1, 2], [3]]), GeometryError, "rows of equal length"),
        (lambda: blur((8, 8), normal(2, 2) * 1j), GeometryError, "with_tensors"),
        (lambda: blur((8, 8), [[float("nan")]]), GeometryError, "finite"),
        (lambda: blur((2, 2, 2, 2), normal(1, 1, 1, 1), method="direct"), GeometryError, "3 axes"),
        (lambda: blur((8, 8), Gaussian((1.0, 2.0, 3.0))), GeometryError, "one for each axis"),
        (lambda: Gaussian(0.0), GeometryError, "positive"),
        (lambda: Box(0), GeometryError, "positive"),
        (lambda: Blur(Gaussian(1.0)), GeometryError, "PointSpread"),  # type: ignore[arg-type]
        (lambda: given_kernel(normal(2, 3)), ShapeError, "last axes"),
        (lambda: given_kernel(normal(3, 3) * 1j), DtypeError, "complex only for complex images"),
        (lambda: given_kernel(torch.ones(3, 3, dtype=torch.int64)), DtypeError, "floats"),
        (lambda: given_kernel(None), DtypeError, "torch tensor"),
        (lambda: blur((8, 8), Box(3)).with_tensors({"mask": normal(8, 8)}), GeometryError, "mask"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[LearnedReconError], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def given_kernel(kernel: Any) -> Blur:
    return blur((8, 8), Box(3)).with_tensors({"kernel": kernel})
