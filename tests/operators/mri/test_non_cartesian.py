"""Non-Cartesian MRI against the FFT, dense matrices and compositions."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from tests.helpers import complex_normal as random
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from learnedrecon.errors import (
    DataError,
    DtypeError,
    GeometryError,
    MissingExtraError,
    ShapeError,
)
from learnedrecon.operators.mri import nufft
from learnedrecon.operators.mri.non_cartesian import NonCartesian, NonCartesianMRI
from learnedrecon.operators.mri.trajectories import Kooshball, Points, Radial, Spiral, Stacked
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain
from learnedrecon.testing import dense_matrix

# The first forward-mode derivative imports decompositions that warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

WIDE = torch.complex128


def cartesian(shape: tuple[int, ...]) -> Points:
    """The frequencies of the centred FFT; each line of the last axis is an interleave."""
    axes = [2 * math.pi * (torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return Points(grid.reshape(-1, shape[-1], len(shape)))  # type: ignore[arg-type]


def centred_fft(u: Tensor, axes: int) -> Tensor:
    dim = tuple(range(-axes, 0))
    inside = torch.fft.fftn(torch.fft.ifftshift(u, dim=dim), dim=dim, norm="ortho")
    return torch.fft.fftshift(inside, dim=dim)


@pytest.mark.parametrize(("dtype", "within"), [(torch.complex64, 3e-6), (WIDE, 1e-11)])
@pytest.mark.parametrize("shape", [(8, 6), (7, 5), (4, 3, 6)])
def test_the_cartesian_trajectory_is_the_centred_orthonormal_fft(
    shape: tuple[int, ...], dtype: torch.dtype, within: float
) -> None:
    operator = NonCartesianMRI(NonCartesian(shape, cartesian(shape)), dtype=dtype)
    u = random(2, 1, *shape, dtype=dtype)
    expected = centred_fft(u, len(shape))
    found = operator(u).reshape(expected.shape)
    assert (found - expected).norm() <= within * expected.norm()
    back = operator.adjoint(operator(u))
    assert (back - u).norm() <= 2 * within * u.norm()
    assert operator.norm() == pytest.approx(1.0, rel=1e-5)


def test_at_a_real_size_single_precision_keeps_five_digits() -> None:
    """The worst of it is the rounding of frequencies, which grows with the pixels."""
    spec = NonCartesian((192, 160), Radial(20, 384))
    u = random(192, 160)
    wide = NonCartesianMRI(spec, dtype=WIDE)(u)
    narrow = NonCartesianMRI(spec)(u.to(torch.complex64))
    assert (narrow - wide).norm() <= 2e-5 * wide.norm()


def test_a_spoke_is_the_transform_of_the_projection() -> None:
    """The central slice theorem for a Gaussian, whose transform has a closed form."""
    ny, nx, spread, y, x = 48, 40, 2.0, 3.0, -4.0
    trajectory = Radial(7, 50)
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (ny, nx))
    square = (rows[:, None] - y) ** 2 + (columns - x) ** 2
    image = torch.exp(-square / (2 * spread**2)).to(WIDE)
    k = torch.from_numpy(trajectory.points())
    shift = torch.exp(-1j * (k[..., 0] * y + k[..., 1] * x))
    height = 2 * math.pi * spread**2 / math.sqrt(ny * nx)
    expected = height * torch.exp(-(spread**2) * (k**2).sum(-1) / 2) * shift
    found = NonCartesianMRI(NonCartesian((ny, nx), trajectory), dtype=WIDE)(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * height)


def test_coils_are_a_stack_of_single_ones() -> None:
    shape, trajectory = (6, 5), Spiral(3, 12, 1.0)
    single = NonCartesianMRI(NonCartesian(shape, trajectory), dtype=WIDE)
    maps = random(4, *shape, seed=1)
    coils = NonCartesianMRI(NonCartesian(shape, trajectory, 4), maps, WIDE)
    u, v = random(2, 1, *shape), random(2, 1, *coils.codomain.shape, seed=2)
    assert coils.codomain.shape == (4, 3, 12)
    expected = torch.stack([single(s * u) for s in maps], dim=-3)
    torch.testing.assert_close(coils(u), expected)
    together = sum(s.conj() * single.adjoint(v[..., c, :, :]) for c, s in enumerate(maps))
    torch.testing.assert_close(coils.adjoint(v), together)


def test_every_sample_has_the_tensors_that_are_its_own() -> None:
    spec = NonCartesian((6, 5), Radial(4, 8), 2)
    plain = NonCartesianMRI(spec, dtype=WIDE)
    maps = random(3, 1, 2, 6, 5, seed=1)
    moved = plain.trajectory + 0.1 * random(3, 1, 4, 8, 2, dtype=torch.float64)
    operator = plain.with_tensors({"maps": maps}).with_tensors({"trajectory": moved})
    u = random(3, 1, 6, 5)
    for index in range(3):
        own = plain.with_tensors({"maps": maps[index, 0], "trajectory": moved[index, 0]})
        torch.testing.assert_close(operator(u)[index], own(u[index]))
    assert plain.maps is None
    norms = [
        plain.with_tensors({"maps": maps[i, 0], "trajectory": moved[i, 0]}).norm() for i in range(3)
    ]
    torch.testing.assert_close(
        operator.norm(), torch.tensor(norms, dtype=torch.float64)[:, None], rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("coils", [None, 2])
def test_the_norm_is_the_largest_singular_value(coils: int | None) -> None:
    maps = None if coils is None else random(coils, 6, 5)
    operator = NonCartesianMRI(NonCartesian((6, 5), Spiral(2, 20, 1.5), coils), maps, WIDE)
    exact = float(torch.linalg.matrix_norm(dense_matrix(operator), 2))
    assert operator.norm() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("coils", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("shape", "trajectory"),
    [((9, 8), Radial(5, 14)), ((1, 4), Radial(2, 3)), ((3, 4, 5), Stacked(Radial(3, 8), 3))],
)
def test_toeplitz_is_the_composition(
    shape: tuple[int, ...], trajectory: Radial | Stacked, coils: int | None, *, weighted: bool
) -> None:
    maps = None if coils is None else random(coils, *shape)
    operator = NonCartesianMRI(NonCartesian(shape, trajectory, coils), maps, WIDE)
    weights = random(*trajectory.shape, dtype=torch.float64).abs() if weighted else None
    normal = operator.normal(weights)
    u = random(2, *shape, seed=3)
    seen = operator(u) if weights is None else weights * operator(u)
    torch.testing.assert_close(normal(u), operator.adjoint(seen), rtol=1e-10, atol=1e-10)
    matrix = dense_matrix(normal)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-14 * float(matrix.abs().max()))


def test_toeplitz_with_tensors_for_each_sample() -> None:
    plain = NonCartesianMRI(NonCartesian((6, 5), Radial(4, 8), 2), dtype=WIDE)
    moved = plain.trajectory + 0.1 * random(3, 1, 4, 8, 2, dtype=torch.float64)
    tensors = {"maps": random(3, 1, 2, 6, 5, seed=1), "trajectory": moved}
    operator = plain.with_tensors(tensors)
    weights = random(3, 1, 4, 8, dtype=torch.float64).abs()
    u = random(3, 1, 6, 5)
    expected = operator.adjoint(weights.unsqueeze(-3) * operator(u))
    torch.testing.assert_close(operator.normal(weights)(u), expected, rtol=1e-10, atol=1e-10)


def test_toeplitz_in_single_precision() -> None:
    spec = NonCartesian((40, 36), Radial(12, 80))
    u = random(40, 36, dtype=torch.complex64)
    operator = NonCartesianMRI(spec)
    expected = operator.adjoint(operator(u))
    found = operator.normal()(u)
    assert found.dtype == torch.complex64
    assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_an_empty_batch_gives_an_empty_one() -> None:
    operator = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8), 2), random(2, 4, 5), WIDE)
    nothing = random(0, 1, 4, 5)
    assert operator(nothing).shape == (0, 1, 2, 3, 8)
    assert operator.adjoint(operator(nothing)).shape == nothing.shape
    assert operator.normal()(nothing).shape == nothing.shape


def test_many_images_at_once_are_many_single_ones() -> None:
    """More than the Toeplitz operator takes at a time."""
    normal = NonCartesianMRI(NonCartesian((48, 40), Radial(3, 8)), dtype=WIDE).normal()
    u = random(50, 48, 40)
    torch.testing.assert_close(normal(u), torch.stack([normal(one) for one in u]))
    torch.testing.assert_close(torch.vmap(normal)(u), normal(u))


def test_interleaves_are_chosen_with_their_trajectories() -> None:
    spec = NonCartesian((5, 4), Radial(6, 7), 2)
    operator = NonCartesianMRI(spec, random(2, 5, 4), WIDE)
    u = random(3, 5, 4)
    part = operator.subset([4, 0])
    assert part.codomain.shape == (2, 2, 7)
    torch.testing.assert_close(part(u), operator(u)[..., [4, 0], :])
    again = part.subset([1])
    torch.testing.assert_close(again(u), operator(u)[..., [0], :])


def test_gradients_in_maps_and_trajectory_by_differences() -> None:
    plain = NonCartesianMRI(NonCartesian((3, 2), Radial(2, 3), 2), dtype=WIDE)
    u, maps = random(3, 2), random(2, 3, 2, seed=1).requires_grad_()
    k = (0.9 * plain.trajectory).requires_grad_()

    def forward(maps: Tensor, k: Tensor) -> Tensor:
        return plain.with_tensors({"maps": maps, "trajectory": k})(u)

    def backward(maps: Tensor, k: Tensor) -> Tensor:
        operator = plain.with_tensors({"maps": maps, "trajectory": k})
        return operator.adjoint(random(2, 2, 3, seed=2))

    def normal(maps: Tensor, k: Tensor) -> Tensor:
        return plain.with_tensors({"maps": maps, "trajectory": k}).normal()(u)

    for action in (forward, backward, normal):
        assert torch.autograd.gradcheck(action, (maps, k), check_forward_ad=True)


def test_moving_keeps_the_trajectory_in_double_precision() -> None:
    operator = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8), 2), random(2, 4, 5))
    exact = operator.trajectory.clone()
    operator.to(torch.float32)
    assert torch.equal(operator.trajectory, exact)
    assert operator.maps is not None
    assert operator.maps.dtype == torch.complex64
    assert operator(random(4, 5, dtype=torch.complex64)).dtype == torch.complex64


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore::DeprecationWarning")
def test_compiled_code_leaves_for_finufft_and_is_not_compiled_again() -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    plain = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8), 2), dtype=WIDE)

    def step(operator: NonCartesianMRI, u: Tensor) -> Tensor:
        return u - 0.1 * operator.adjoint(2 * operator(u))

    compiled, frames = torch.compile(step, backend=counter), set()
    for batch in range(5):
        operator = plain.with_tensors({"maps": random(2, 1, 2, 4, 5, seed=batch)})
        u = random(2, 1, 4, 5, seed=batch + 9).requires_grad_()
        found, expected = compiled(operator, u), step(operator, u)
        torch.testing.assert_close(found, expected)
        weight = random(2, 1, 4, 5, seed=7)
        torch.testing.assert_close(
            torch.autograd.grad(found, u, weight), torch.autograd.grad(expected, u, weight)
        )
        frames.add(counter.frame_count)
    assert len(frames) == 1
    torch._dynamo.reset()


def test_the_registry_rebuilds_it() -> None:
    spec = NonCartesian((4, 5, 6), Kooshball(3, 8), 2)
    again = named_from_plain(OPERATORS, named_to_plain(OPERATORS, spec))
    operator = build(OPERATORS, again)
    assert isinstance(operator, NonCartesianMRI)
    assert operator.spec == spec
    assert operator.codomain.shape == (2, 3, 8)


COILS = NonCartesian((4, 5), Radial(3, 8), 2)
BAD = {
    "no maps": (lambda: NonCartesianMRI(COILS)(random(4, 5)), GeometryError, "maps of 2 coils"),
    "no maps for the adjoint": (
        lambda: NonCartesianMRI(COILS).adjoint(random(2, 3, 8)),
        GeometryError,
        "maps of 2 coils",
    ),
    "no maps for the normal operator": (
        lambda: NonCartesianMRI(COILS).normal(),
        GeometryError,
        "maps of 2 coils",
    ),
    "another number of coils": (
        lambda: NonCartesianMRI(COILS, random(3, 4, 5)),
        ShapeError,
        r"\(2, 4, 5\)",
    ),
    "maps without coils": (
        lambda: NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8)), random(3, 4, 5)),
        GeometryError,
        "coils=8",
    ),
    "another name": (
        lambda: NonCartesianMRI(COILS).with_tensors({"mask": random(1)}),
        GeometryError,
        "maps or trajectory",
    ),
    "whole numbers": (
        lambda: NonCartesianMRI(COILS).with_tensors({"maps": torch.ones(2, 4, 5).int()}),
        DtypeError,
        "complex or real floats",
    ),
    "complex frequencies": (
        lambda: NonCartesianMRI(COILS).with_tensors({"trajectory": random(3, 8, 2)}),
        DtypeError,
        "real floats",
    ),
    "NaN": (
        lambda: NonCartesianMRI(COILS).with_tensors({"maps": random(2, 4, 5) * math.nan}),
        DataError,
        "finite maps",
    ),
    "cycles": (
        lambda: NonCartesianMRI(COILS).with_tensors({"trajectory": torch.full((3, 8, 2), 20.0)}),
        GeometryError,
        "2π/n",
    ),
    "a trajectory alone": (
        lambda: NonCartesianMRI(Radial(3, 8)),  # type: ignore[arg-type]
        GeometryError,
        "a NonCartesian",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name: str) -> None:
    make, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        make()


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = NonCartesianMRI(NonCartesian((4, 5), Radial(3, 8)))
    monkeypatch.setitem(sys.modules, "pytorch_finufft.functional", None)
    nufft._library.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'learnedrecon\[nufft\]'"):
        operator(random(4, 5))
