"""Cartesian MRI against matrices that are written out, in complex128."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor

from learnedrecon.errors import DataError, DtypeError, GeometryError, ShapeError
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain

Z = torch.complex128


def random_mask(*shape: int, share: float = 0.5, seed: int = 7) -> Tensor:
    """At random, with a one in the middle."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    mask[tuple(n // 2 for n in shape)] = True
    return mask


def unit_maps(*shape: int, seed: int = 1, dtype: torch.dtype = torch.complex128) -> Tensor:
    """Random maps (coil, ny, nx) whose Σ|S|² is 1."""
    maps = random(*shape, seed=seed, dtype=dtype)
    return maps / maps.abs().square().sum(0, keepdim=True).sqrt()


def fourier_of_padded(n: int, N: int) -> Tensor:
    """exp(-2πi (k - N//2)(x - n//2)/N)/sqrt(N), for k in 0..N-1 and x in 0..n-1."""
    angles = [[2 * math.pi * (k - N // 2) * (x - n // 2) / N for x in range(n)] for k in range(N)]
    real = [[math.cos(angle) for angle in row] for row in angles]
    imag = [[-math.sin(angle) for angle in row] for row in angles]
    parts = [torch.tensor(part, dtype=torch.float64) for part in (real, imag)]
    return torch.complex(*parts) / math.sqrt(N)


def matrix_by_hand(
    spec: Cartesian, mask: Tensor | None = None, maps: Tensor | None = None
) -> Tensor:
    """The complex matrix (coil × k-space, image) of M F P S for one sample."""
    along = [fourier_of_padded(n, N) for n, N in zip(spec.shape, spec.grid, strict=True)]
    matrix = reduce(torch.kron, along)
    if mask is not None:
        matrix = mask.expand(spec.grid).reshape(-1, 1) * matrix
    if maps is None:
        return matrix
    return torch.cat([matrix * one.reshape(1, -1) for one in maps])


SPECS = {
    "even": Cartesian((4, 6)),
    "odd": Cartesian((5, 7)),
    "mixed": Cartesian((4, 5), coils=3),
    "crop of the readout": Cartesian((4, 5), coils=2, encoded=(8, 5), row_axis=-1),
    "crop, even in odd": Cartesian((4, 5), coils=2, encoded=(7, 6), row_axis=-2),
    "crop, odd in even": Cartesian((3, 4), encoded=(6, 7)),
    "3D": Cartesian((3, 4, 2), coils=2),
    "3D, crop": Cartesian((2, 3, 3), coils=2, encoded=(2, 3, 6), row_axis=-2),
}
MASKS: dict[str, Any] = {
    "none": lambda _: None,
    "points": lambda sizes: random_mask(*sizes),
    "lines, last axis": lambda sizes: random_mask(sizes[-1], share=0.4),
    "lines, written out": lambda sizes: random_mask(sizes[-1], share=0.4).expand(sizes),
    "lines, first axis": lambda sizes: random_mask(sizes[0], *[1] * (len(sizes) - 1), share=0.4),
    "readout along the last axis": lambda sizes: random_mask(*sizes[:-1], 1, share=0.4),
    "readout along the first axis": lambda sizes: random_mask(1, *sizes[1:], share=0.4),
    "outer axes": lambda sizes: random_mask(sizes[0], *[1] * (len(sizes) - 2), sizes[-1]),
    "nothing": torch.zeros,
}


def parts(spec: Cartesian, mask: str) -> tuple[CartesianMRI, Tensor]:
    """The operator and its matrix."""
    chosen = MASKS[mask](spec.grid)
    maps = None if spec.coils is None else unit_maps(spec.coils, *spec.shape)
    return CartesianMRI(spec, chosen, maps, Z), matrix_by_hand(spec, chosen, maps)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", SPECS)
def test_forward_and_adjoint_are_the_matrix(name: str, mask: str) -> None:
    operator, matrix = parts(SPECS[name], mask)
    u, v = random(2, 3, *operator.domain.shape), random(2, 3, *operator.codomain.shape)
    forward = u.flatten(2) @ matrix.T
    adjoint = v.flatten(2) @ matrix.conj()
    assert torch.allclose(operator(u).flatten(2), forward, rtol=0, atol=1e-13)
    assert torch.allclose(operator.adjoint(v).flatten(2), adjoint, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", SPECS)
def test_the_norm_is_the_largest_singular_value(name: str, mask: str) -> None:
    operator, matrix = parts(SPECS[name], mask)
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-6, abs=1e-14)
    assert operator.norm() <= operator.norm_bound() * (1 + 1e-12)
    assert operator.norm_bound() <= 1 + 1e-12


@pytest.mark.parametrize("mask", ["none", "points", "lines, last axis", "lines, first axis"])
@pytest.mark.parametrize("name", SPECS)
def test_subsets_are_rows_of_the_matrix(name: str, mask: str) -> None:
    operator, matrix = parts(SPECS[name], mask)
    axis = operator.scan.row_axis
    number = operator.codomain.shape[axis]
    u = random(2, *operator.domain.shape)
    whole = (u.flatten(1) @ matrix.T).reshape(2, *operator.codomain.shape)
    for rows in ([0], [number - 1, 0], list(range(1, number, 2)), [1, 1, 0]):
        part = operator.subset(rows)
        index = torch.tensor(rows)
        assert torch.allclose(part(u), whole.index_select(axis, index), rtol=0, atol=1e-13)
        v = random(2, *part.codomain.shape)
        scattered = torch.zeros_like(whole).index_add(axis, index, v)
        expected = (scattered.flatten(1) @ matrix.conj()).reshape(u.shape)
        assert torch.allclose(part.adjoint(v), expected, rtol=0, atol=1e-13)
    again = operator.subset([number - 1, 1, 0]).subset([2, 0])
    assert torch.allclose(again(u), operator.subset([0, number - 1])(u), rtol=0, atol=1e-13)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("parts_", [2, 3])
def test_interleaved_subsets_make_the_whole(axis: int, parts_: int) -> None:
    spec = Cartesian((6, 6), coils=2, row_axis=axis)
    operator = CartesianMRI(spec, random_mask(6, 6), unit_maps(2, 6, 6), Z)
    u = random(6, 6)
    whole, back = operator(u), torch.zeros_like(u)
    for first in range(parts_):
        rows = slice(first, None, parts_)
        part = operator.subset(rows)
        assert torch.allclose(part(u), whole.movedim(axis, 0)[rows].movedim(0, axis), atol=1e-13)
        back += part.adjoint(part(u))
    assert torch.allclose(back, operator.adjoint(whole), rtol=0, atol=1e-13)


SAMPLES: dict[str, dict[str, Any]] = {
    "masks": {"mask": random_mask(3, 1, 1, 5, 6)},
    "lines": {"mask": random_mask(3, 1, 1, 1, 6, share=0.3)},
    "lines along x": {"mask": random_mask(3, 1, 1, 5, 1, share=0.3)},
    "maps": {"maps": random(3, 1, 2, 4, 6)},
    "lines and maps": {
        "mask": random_mask(3, 1, 1, 1, 6, share=0.3),
        "maps": random(3, 1, 2, 4, 6),
    },
    "points and maps": {"mask": random_mask(3, 1, 1, 5, 6), "maps": random(3, 1, 2, 4, 6)},
}


@pytest.mark.parametrize("rows", [None, [3, 0, 4]])
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_their_own_masks_and_maps(name: str, rows: list[int] | None) -> None:
    spec = Cartesian((4, 6), coils=2, encoded=(5, 6))
    shared = {"mask": random_mask(6, seed=3), "maps": unit_maps(2, 4, 6)}
    tensors = SAMPLES[name]
    operator: Any = CartesianMRI(spec, **shared, dtype=Z).with_tensors(tensors)
    own = {**shared, **tensors}
    masks = own["mask"].expand(3, 1, 1, 5, 6) if own["mask"].ndim > 1 else [own["mask"]] * 3
    maps = own["maps"].expand(3, 1, 2, 4, 6)
    singles: list[Any] = [CartesianMRI(spec, masks[b], maps[b, 0], Z) for b in range(3)]
    if rows is not None:
        operator, singles = operator.subset(rows), [one.subset(rows) for one in singles]
    u, v = random(3, 1, 4, 6), random(3, 1, *operator.codomain.shape)
    for b, one in enumerate(singles):
        assert torch.allclose(operator(u)[b], one(u[b]), rtol=0, atol=1e-13)
        assert torch.allclose(operator.adjoint(v)[b], one.adjoint(v[b]), rtol=0, atol=1e-13)
    norms = torch.tensor([[one.norm()] for one in singles], dtype=torch.float64)
    torch.testing.assert_close(operator.norm(), norms, rtol=1e-5, atol=0)


def test_single_coil_samples_have_their_own_masks() -> None:
    spec = Cartesian((4, 6))
    mask = random_mask(3, 1, 4, 6)
    operator = CartesianMRI(spec, dtype=Z).with_tensors({"mask": mask})
    u = random(3, 1, 4, 6)
    for b in range(3):
        expected = matrix_by_hand(spec, mask[b, 0]) @ u[b].flatten()
        assert torch.allclose(operator(u)[b].flatten(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("coils", [None, 40])
@pytest.mark.parametrize("mask", [random_mask(96, 70), random_mask(70, share=0.3), None])
@pytest.mark.parametrize("batch", [1, 50])
def test_parts_of_many_coils_and_samples(
    coils: int | None, mask: Tensor | None, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fits into the cache, so that it is done in pieces; the pieces are uneven."""
    monkeypatch.setattr("learnedrecon.operators.mri.cartesian_kernel._CACHED", 7 * 96 * 70)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    spec = Cartesian((64, 70), coils=coils, encoded=(96, 70))
    dtype = torch.complex64
    maps = None if coils is None else unit_maps(coils, 64, 70, dtype=dtype)
    operator = CartesianMRI(spec, mask, maps)
    batch = batch if coils is None else min(batch, 2)
    u = random(batch, 1, 64, 70, dtype=dtype)
    v = random(batch, 1, *operator.codomain.shape, dtype=dtype)
    plain = u if maps is None else u.unsqueeze(-3) * maps
    padded = torch.zeros(*plain.shape[:-2], 96, 70, dtype=dtype)
    padded[..., 16:80, :] = plain
    axes = (-2, -1)
    spectrum = torch.fft.fft2(torch.fft.ifftshift(padded, axes), norm="ortho")
    expected = torch.fft.fftshift(spectrum, axes) * (1 if mask is None else mask)
    assert torch.allclose(operator(u), expected, rtol=0, atol=1e-5)
    left, right = (operator(u).conj() * v).sum(), (u.conj() * operator.adjoint(v)).sum()
    assert abs(left - right) < 1e-5 * float(operator(u).norm() * v.norm())


SOLVABLE = {
    "all of k-space, cropped": (Cartesian((4, 5), encoded=(7, 6)), None),
    "points": (Cartesian((5, 4)), random_mask(5, 4)),
    "lines, crop along them": (Cartesian((4, 5), encoded=(8, 5)), random_mask(5, share=0.4)),
    "lines along x, crop along them": (
        Cartesian((4, 3), encoded=(4, 7), row_axis=-2),
        random_mask(4, 1).expand(4, 7),
    ),
    "3D": (Cartesian((3, 2, 3), encoded=(3, 2, 6), row_axis=-3), random_mask(3, 2, 1)),
}


@pytest.mark.parametrize("rows", [None, [2, 0, 2]])
@pytest.mark.parametrize("name", SOLVABLE)
def test_the_inverse_of_the_normal_equations(name: str, rows: list[int] | None) -> None:
    spec, mask = SOLVABLE[name]
    operator: Any = CartesianMRI(spec, mask, dtype=Z)
    matrix = matrix_by_hand(spec, mask)
    if rows is not None:
        whole = matrix.reshape(*spec.grid, -1)
        matrix = whole.index_select(spec.row_axis - 1, torch.tensor(rows)).flatten(0, -2)
        operator = operator.subset(rows)
    b = random(2, 1, *spec.shape)
    normal = matrix.mH @ matrix + 0.07 * torch.eye(matrix.shape[1], dtype=Z)
    found = operator.normal_inverse(b, 0.07)
    if rows is not None and name == "all of k-space, cropped":
        assert found is None
        return
    expected = torch.linalg.solve(normal, b.flatten(2).mT).mT.reshape(b.shape)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert torch.allclose((2.0 * operator).normal_inverse(b, 0.28), expected / 4, atol=1e-12)


def test_the_inverse_has_one_weight_for_each_sample_and_gradients() -> None:
    spec = Cartesian((3, 4))
    mask = random_mask(2, 1, 3, 4)
    operator = CartesianMRI(spec, dtype=Z).with_tensors({"mask": mask})
    b = random(2, 1, 3, 4).requires_grad_()
    weight = torch.tensor([0.3, 1.7], dtype=torch.float64).reshape(2, 1, 1, 1).requires_grad_()
    found = operator.normal_inverse(b, weight)
    assert found is not None
    for k in range(2):
        matrix = matrix_by_hand(spec, mask[k, 0])
        normal = matrix.mH @ matrix + weight[k].flatten() * torch.eye(12)
        expected = torch.linalg.solve(normal, b[k].flatten())
        assert torch.allclose(found[k].flatten(), expected, rtol=0, atol=1e-12)

    def solve(x: Tensor, lam: Tensor) -> Tensor:
        inverse = operator.normal_inverse(x, lam)
        assert inverse is not None
        return inverse

    assert torch.autograd.gradcheck(solve, (b, weight))


@pytest.mark.parametrize(
    ("spec", "mask"),
    [
        (Cartesian((4, 5), coils=2), None),
        (Cartesian((4, 5), encoded=(8, 5)), random_mask(8, 5)),
        (Cartesian((4, 5), encoded=(8, 5)), random_mask(8, 1)),
    ],
)
def test_the_inverse_is_not_offered(spec: Cartesian, mask: Tensor | None) -> None:
    maps = None if spec.coils is None else unit_maps(spec.coils, *spec.shape)
    operator = CartesianMRI(spec, mask, maps, Z)
    assert operator.normal_inverse(random(1, 1, 4, 5), 0.1) is None
    assert (operator * 3.0).normal_inverse(random(1, 1, 4, 5), 0.1) is None


def test_weights_of_the_inverse_are_checked() -> None:
    operator = CartesianMRI(Cartesian((3, 4)), dtype=Z)
    for weight in (0.0, -1.0, torch.zeros(())):
        with pytest.raises(DataError, match="λ > 0"):
            operator.normal_inverse(random(3, 4), weight)
    with pytest.raises(ShapeError, match="use CG"):
        operator.normal_inverse(random(3, 4), torch.ones(3, 4))


def test_moves_keep_complex_numbers_and_exact_phases() -> None:
    spec = Cartesian((5, 7), coils=2)
    mask, maps = random_mask(5, 7), unit_maps(2, 5, 7, dtype=torch.complex64)
    single = CartesianMRI(spec, mask, maps)
    double = CartesianMRI(spec, mask, maps.to(Z), Z)
    u = random(1, 1, 5, 7)
    assert torch.equal(single(u), double(u))
    wide = single.to(torch.float64)
    assert wide.domain.dtype == Z
    assert wide.maps is not None
    assert wide.maps.dtype == Z
    assert torch.equal(wide(u), double(u))
    assert wide.mask is not None
    assert wide.mask.dtype == torch.bool
    narrow = wide.to(torch.float32)
    assert narrow(u.to(torch.complex64)).dtype == torch.complex64


def test_it_is_built_from_a_registered_spec() -> None:
    spec = Cartesian((4, 6), coils=2, encoded=(8, 6), row_axis=-2)
    plain = named_to_plain(OPERATORS, spec)
    assert plain["name"] == "cartesian_mri"
    again = named_from_plain(OPERATORS, plain)
    assert again == spec
    operator = build(OPERATORS, again)
    assert isinstance(operator, CartesianMRI)
    with pytest.raises(GeometryError, match="maps of the 2 coils"):
        operator(random(4, 6))
    assert operator.with_tensors({"maps": unit_maps(2, 4, 6)})(random(4, 6)).shape == (2, 8, 6)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.tensor([0, 1, 0.5, 2.0, 1, 0]), DataError, "2 values other than 0 and 1.*0.5"),
        (torch.tensor([math.nan, 1, 0, 0, 1, 0]), DataError, "1 values other than 0 and 1"),
        (torch.ones(5), ShapeError, "1 for each|a line of it"),
        (torch.ones(3, 4, 6), ShapeError, "one mask"),
        (torch.ones(2, 1, 3, 4, 6), ShapeError, "one mask"),
        (torch.ones(4, 6, dtype=Z), DtypeError, "real or boolean mask"),
        ([[1, 0]], DtypeError, "a mask as a torch tensor"),
    ],
)
def test_bad_masks(mask: Tensor, error: type[Exception], message: str) -> None:
    spec = Cartesian((4, 6), coils=3)
    with pytest.raises(error, match=message):
        CartesianMRI(spec, mask)
    with pytest.raises(error, match=message):
        CartesianMRI(spec).with_tensors({"mask": mask})


def test_bad_maps_and_names() -> None:
    spec = Cartesian((4, 6), coils=3)
    with pytest.raises(ShapeError, match=r"\(3, 4, 6\)"):
        CartesianMRI(spec, maps=random(2, 4, 6))
    with pytest.raises(DtypeError, match="complex coil maps"):
        CartesianMRI(spec, maps=torch.ones(3, 4, 6))
    with pytest.raises(GeometryError, match="coils=3"):
        CartesianMRI(Cartesian((4, 6)), maps=random(3, 4, 6))
    with pytest.raises(GeometryError, match="angles"):
        CartesianMRI(spec).with_tensors({"angles": torch.ones(3)})
    with pytest.raises(DtypeError, match="complex64 or complex128"):
        CartesianMRI(spec, dtype=torch.float32)


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (4,)},
        {"shape": (4, 0)},
        {"shape": (4, 4), "coils": 0},
        {"shape": (4, 4), "encoded": (4, 3)},
        {"shape": (4, 4), "encoded": (4, 4, 4)},
        {"shape": (4, 4), "row_axis": 1},
        {"shape": (4, 4), "row_axis": -3},
        {"shape": (4.5, 4)},
    ],
)
def test_bad_specs(arguments: dict[str, Any]) -> None:
    with pytest.raises(GeometryError, match="Expected"):
        Cartesian(**arguments)
