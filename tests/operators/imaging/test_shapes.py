"""Identity, crop, pad, real to complex, and inpainting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from learnedrecon.errors import GeometryError, LearnedReconError, ShapeError
from learnedrecon.operators.imaging.inpaint import Inpaint, PixelMask
from learnedrecon.operators.imaging.shapes import Crop, Identity, Pad, Padding, RealToComplex
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.operators.space import Space
from learnedrecon.specs import build, named_from_plain, named_to_plain
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.linear import LinearOperator

DOUBLE = torch.float64
IMAGE = Space((5, 4), DOUBLE)


def test_a_crop_in_the_middle_keeps_the_centre_of_a_fourier_transform() -> None:
    for n, m in ((8, 4), (9, 5), (7, 7)):
        u = torch.arange(n, dtype=DOUBLE)
        assert Crop(Space((n,), DOUBLE), (m,))(u)[m // 2] == n // 2


def test_a_crop_is_a_slice_and_its_adjoint_pads_by_zeros() -> None:
    u = IMAGE.random(leading=(2,))
    operator = Crop(IMAGE, (2, 3), (1, 0))
    torch.testing.assert_close(operator(u), u[:, 1:3, :3])
    expected = np.pad(operator(u).numpy(), [(0, 0), (1, 2), (0, 1)])
    np.testing.assert_array_equal(operator.adjoint(operator(u)), expected)


@pytest.mark.parametrize("boundary", ["circular", "symmetric", "reflect", "edge", "zero"])
def test_the_norm_of_padding_is_a_root_of_a_count(boundary: Any) -> None:
    for margins in (((1, 2), (0, 1)), ((9, 3), (4, 4))):
        operator = Pad(Padding((5, 4), margins, boundary), DOUBLE)
        exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
        assert operator.norm() == pytest.approx(exact, rel=1e-12)


def test_the_adjoint_of_the_embedding_is_the_real_part() -> None:
    operator = RealToComplex(IMAGE)
    z = torch.randn(2, 5, 4, dtype=torch.complex128)
    assert torch.equal(operator.adjoint(z), z.real)
    assert torch.equal(operator.H(z), z.real)
    assert torch.equal(operator(z.real), torch.complex(z.real, torch.zeros_like(z.real)))


def test_pixels_are_kept_at_random_by_the_seed() -> None:
    masks = [PixelMask((64, 64), 0.3, seed).mask() for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert masks[0].mean().item() == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 64**2) ** 0.5)
    assert PixelMask((4, 4), 1.0).mask().all()


def test_a_mask_for_each_sample() -> None:
    masks = torch.rand(3, 1, 5, 4) > 0.5
    operator = Inpaint(PixelMask((5, 4)), DOUBLE).with_tensors({"mask": masks})
    u = IMAGE.random(leading=(3, 2))
    torch.testing.assert_close(operator(u), torch.where(masks, u, 0))
    assert torch.equal(torch.as_tensor(operator.norm()), torch.ones(3, 1).double())


@pytest.mark.parametrize(
    "operator",
    [
        Identity(IMAGE),
        RealToComplex(IMAGE),
        Inpaint(PixelMask((5, 4)), DOUBLE),
        Inpaint(torch.randn(5, 4, dtype=DOUBLE), torch.complex128),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_normal_inverse_solves_the_regularised_equation(operator: LinearOperator) -> None:
    b = operator.domain.random(leading=(2, 1))
    for weight in (0.1, torch.tensor([0.1, 3.0], dtype=DOUBLE).reshape(2, 1, 1, 1)):
        u = operator.normal_inverse(b, weight)
        assert u is not None
        torch.testing.assert_close(operator.adjoint(operator(u)) + weight * u, b)


@pytest.mark.parametrize(
    "spec", [Padding((5, 4), ((1, 0), (2, 2)), "reflect"), PixelMask((5, 4), 0.25, 7)]
)
def test_plain_data_and_back(spec: Any) -> None:
    again = named_from_plain(OPERATORS, named_to_plain(OPERATORS, spec))
    assert again == spec
    u = torch.rand(5, 4)
    torch.testing.assert_close(build(OPERATORS, again)(u), build(OPERATORS, spec)(u))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Crop(IMAGE, (6, 4)), GeometryError, "within the image"),
        (lambda: Crop(IMAGE, (2, 2), (4, 0)), GeometryError, "within the image"),
        (lambda: Crop(IMAGE, (2,)), GeometryError, "within the image"),
        (lambda: Padding((5, 4), ((1, 1),)), GeometryError, "2 pairs"),
        (lambda: Padding((5, 4), ((1, -1), (0, 0))), GeometryError, "from 0 on"),
        (lambda: RealToComplex(Space((2,), torch.complex64)), GeometryError, "real images"),
        (lambda: PixelMask((4, 4), 0.0), GeometryError, "0 < kept"),
        (lambda: Inpaint("mask"), GeometryError, "PixelMask"),  # type: ignore[arg-type]
        (lambda: given_mask("mask", 4, 5), ShapeError, "last axes"),
        (lambda: given_mask("kernel", 5, 4), GeometryError, "kernel"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[LearnedReconError], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def given_mask(name: str, *shape: int) -> Inpaint:
    return Inpaint(PixelMask((5, 4)), DOUBLE).with_tensors({name: torch.ones(shape)})
