"""Blur, sampling, wavelets, matrices and stacks: a line each."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import torch

from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.imaging.downsample import Downsample, Downsampling
from learnedrecon.operators.imaging.inpaint import Inpaint, PixelMask
from learnedrecon.operators.imaging.point_spread import Box, Gaussian
from learnedrecon.operators.imaging.separable import Separable
from learnedrecon.operators.imaging.shapes import (
    Crop,
    Identity,
    Pad,
    Padding,
    RealToComplex,
    Unchanged,
)
from learnedrecon.operators.imaging.wavelet import Wavelet, WaveletBasis
from learnedrecon.operators.matrix import Matrix, MatrixOperator
from learnedrecon.operators.space import Space
from learnedrecon.operators.stack import BlockDiagonal, HorizontalStack, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from learnedrecon.operators.base import Operator
    from learnedrecon.operators.linear import LinearOperator

    Case = Callable[[torch.dtype], Operator | tuple[Operator, Tensor]]

BOUNDARIES = ("circular", "symmetric", "reflect", "edge", "zero")


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def wide(dtype: torch.dtype) -> torch.dtype:
    return dtype.to_complex()


def blur(*shape: int, kernel: tuple[int, ...], **options: Any) -> PointSpread:
    numbers: Any = random(*kernel)
    return PointSpread(shape, numbers, **options)


def per_sample(operator: LinearOperator, name: str, *shape: int) -> tuple[Operator, Tensor]:
    """One random tensor for each of two samples."""
    tensor = random(2, 1, *shape, dtype=operator.domain.dtype)
    at = operator.domain.random(leading=(2, 1))
    return operator.with_tensors({name: tensor}), at


def sparse(dtype: torch.dtype) -> Tensor:
    matrix = random(7, 6, dtype=dtype)
    return torch.where(matrix.abs() > 0.7, matrix, 0)


def by_rows(matrix: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        return matrix.to_sparse_csr()


def scipy_matrix(dtype: torch.dtype) -> Any:
    return scipy.sparse.csc_array(sparse(dtype).numpy())


def matrix(dtype: torch.dtype, rows: int) -> MatrixOperator:
    return MatrixOperator(random(rows, 6, dtype=dtype))


def three(dtype: torch.dtype) -> Blur:
    return Blur(blur(4, 6, kernel=(3, 3)), dtype)


def image(dtype: torch.dtype) -> Space:
    return Space((4, 6), dtype)


CASES: dict[str, Case] = {
    "blur": lambda d: Blur(PointSpread((8, 7), Gaussian(0.6)), d),
    "blur, complex kernel": lambda d: per_sample(
        Blur(blur(5, 6, kernel=(2, 3), boundary="symmetric"), wide(d)), "kernel", 2, 3
    ),
    "blur, complex kernel by fft": lambda d: per_sample(
        Blur(blur(5, 6, kernel=(2, 3), method="fft"), wide(d)), "kernel", 2, 3
    ),
    "blur, kernel per sample": lambda d: per_sample(
        Blur(blur(5, 6, kernel=(3, 2), boundary="reflect"), d), "kernel", 3, 2
    ),
    "blur, kernel per sample by fft": lambda d: per_sample(
        Blur(blur(5, 6, kernel=(3, 2), boundary="valid", method="fft"), d), "kernel", 3, 2
    ),
    "blur, off centre": lambda d: Blur(blur(6, 5, kernel=(4, 3), centre=(0, 2)), d),
    "blur, four axes": lambda d: Blur(blur(2, 3, 4, 3, kernel=(2, 1, 3, 2)), d),
    "blur, box": lambda d: Blur(PointSpread((6, 9), Box((2, 4)), "symmetric"), d),
    "blur, large": lambda d: Blur(PointSpread((40, 44), Gaussian((2.0, 3.0)), "symmetric"), d),
    "downsample": lambda d: Downsample(Downsampling((8, 6)), d),
    "downsample, volume": lambda d: Downsample(Downsampling((9, 4, 4), (3, 1, 2), "box"), wide(d)),
    "inpaint": lambda d: Inpaint(PixelMask((5, 4)), d),
    "inpaint, complex": lambda d: Inpaint(random(5, 4) > 0, wide(d)),
    "inpaint, weights": lambda d: Inpaint(random(5, 4), d),
    "inpaint, mask per sample": lambda d: per_sample(Inpaint(PixelMask((5, 4)), d), "mask", 5, 4),
    "matrix": lambda d: Matrix(((1.0, -2.0, 0.5), (0.0, 3.0, 1.0))).build().to(d),
    "matrix, complex": lambda d: MatrixOperator(random(4, 6, dtype=wide(d)), (2, 3)),
    "matrix, image to image": lambda d: MatrixOperator(random(4, 6, dtype=d), (2, 3), (4, 1)),
    "matrix, by rows": lambda d: MatrixOperator(by_rows(sparse(d))),
    "matrix, coordinates": lambda d: MatrixOperator(sparse(wide(d)).to_sparse(), (3, 2)),
    "matrix, of scipy": lambda d: MatrixOperator(scipy_matrix(d)),
    "matrix, of numpy": lambda d: MatrixOperator(np.asfortranarray(sparse(d).numpy())),
    "matrix, per sample": lambda d: per_sample(matrix(d, 4), "matrix", 4, 6),
    "separable": lambda d: Separable((3, 2, 5), [None, random(4, 2).numpy(), np.eye(5)[:2]], d),
    "identity": lambda d: Identity(Space((3, 4), d)),
    "real to complex": lambda d: RealToComplex(Space((3, 4), d)),
    "real part": lambda d: RealToComplex(Space((3, 4), d)).H,
    "identity, of a spec": lambda d: Unchanged((5, 4)).build().to(d),
    "crop": lambda d: Crop(Space((5, 4), d), (2, 3)),
    "crop, from a corner": lambda d: Crop(Space((5, 4), wide(d)), (2, 3), (0, 1)),
    "finite_difference": lambda d: FiniteDifference(Space((5, 4), d)),
    "wavelet": lambda d: Wavelet(WaveletBasis((16, 8)), d),
    "wavelet, line": lambda d: Wavelet(WaveletBasis((48,), "sym5", 4), d),
    "wavelet, volume": lambda d: Wavelet(WaveletBasis((4, 8, 4), "db2", 2), d),
    "wavelet, complex": lambda d: Wavelet(WaveletBasis((12, 20), "coif1", 2), wide(d)),
    "wavelet, longer than the image": lambda d: Wavelet(WaveletBasis((4, 6), "db9", 1), d),
    "wavelet, haar": lambda d: Wavelet(WaveletBasis((34, 2), "haar", 1), d),
    "stack": lambda d: Stack([three(d), Identity(image(d))], axis=-2),
    "stack, flat": lambda d: Stack([three(d), FiniteDifference(image(d))]),
    "stack, rows": lambda d: Stack([matrix(d, 4), matrix(d, 2), matrix(d, 3)]),
    "stack, adjoint": lambda d: Stack([three(d), Identity(image(d))], axis=-1).H,
    "stack, of one": lambda d: Stack([three(d)]),
    "stack, complex": lambda d: Stack(
        [RealToComplex(image(d)), RealToComplex(image(d)) @ three(d)], axis=-1
    ),
    "stack, kernel per sample": lambda d: per_sample(
        Stack([Identity(image(d)), three(d)], axis=-1), "1.kernel", 3, 3
    ),
    "horizontal stack": lambda d: HorizontalStack([three(d), -2 * three(d)], axis=-2),
    "horizontal stack, rows": lambda d: HorizontalStack([matrix(d, 4), matrix(d, 4)]),
    "block diagonal": lambda d: BlockDiagonal([three(d), matrix(d, 3)]),
    "block diagonal, along axes": lambda d: BlockDiagonal([three(d), three(d)], -1, -2),
}


def add(kind: str, boundary: str, method: str) -> None:
    """Blurs with kernels of odd and even size in one to three axes, by both methods."""
    options = {"boundary": boundary, "method": method}
    text = f"blur, {boundary}, {method}"
    if kind == "line":
        CASES[f"{text}, line"] = lambda d: Blur(blur(9, kernel=(4,), **options), wide(d))
    elif kind == "image":
        CASES[text] = lambda d: Blur(blur(7, 8, kernel=(3, 4), **options), d)
    else:
        CASES[f"{text}, volume"] = lambda d: Blur(blur(4, 5, 3, kernel=(2, 3, 1), **options), d)


for _boundary in (*BOUNDARIES, "valid"):
    for _method in ("direct", "fft"):
        for _kind in ("line", "image", "volume"):
            add(_kind, _boundary, _method)


def add_boundary(boundary: Any) -> None:
    """What else has a boundary."""
    CASES[f"blur, {boundary}, kernel beyond the image"] = lambda d: Blur(
        blur(3, 4, kernel=(8, 5), boundary=boundary), d
    )
    CASES[f"downsample, {boundary}, gaussian"] = lambda d: Downsample(
        Downsampling((8, 6), 2, "gaussian", boundary), d
    )
    CASES[f"downsample, {boundary}, bicubic"] = lambda d: Downsample(
        Downsampling((6, 9), 3, "bicubic", boundary), d
    )
    CASES[f"pad, {boundary}"] = lambda d: Pad(Padding((5, 4), ((1, 2), (0, 3)), boundary), wide(d))
    CASES[f"pad, {boundary}, far"] = lambda d: Pad(Padding((3, 4), ((7, 5), (4, 0)), boundary), d)


def add_border(border: Any, axes: int) -> None:
    """Differences across one kind of border."""
    shape, spacing = ((6,), (1, 3), (2, 3, 4))[axes - 1], (0.5, 2.0, 1.5)[:axes]
    CASES[f"finite_difference, {border}, {axes} axes"] = lambda d: FiniteDifference(
        Space(shape, wide(d) if axes == 2 else d), border, spacing
    )


for _boundary in BOUNDARIES:
    add_boundary(_boundary)
for _border in ("neumann", "periodic", "zero"):
    for _axes in (1, 2, 3):
        add_border(_border, _axes)
