"""Transmission with intensity and scatter: closed forms, parts, files and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.helpers import normal

from learnedrecon import specs
from learnedrecon.errors import DataError, GeometryError, ShapeError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.solvers.direct.fbp import fbp
from learnedrecon.solvers.direct.pseudo_inverse import pseudo_inverse
from learnedrecon.testing import dense_matrix

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY = RayTransform(SCAN, torch.float64)
COUNTS = TransmissionCT(Transmission(SCAN, 0.1, intensity=300.0, scatter=20.0), torch.float64)


def test_it_is_what_a_detector_counts() -> None:
    """T(u) = I₀ exp(-μPu) + s and [∂T(u)]*v = -μP*((T(u) - s)·v)."""
    u, v = normal(2, 1, 4, 5).abs(), normal(2, 1, 6, 7, seed=1)
    direct = 300 * torch.exp(-0.1 * RAY(u))
    value, derivative = COUNTS.linearise(u)
    torch.testing.assert_close(value, direct + 20)
    torch.testing.assert_close(COUNTS(u), value)
    torch.testing.assert_close(derivative.adjoint(v), -0.1 * RAY.adjoint(direct * v))
    assert torch.equal(COUNTS(torch.zeros(4, 5).double()), torch.full((6, 7), 320.0).double())


@pytest.mark.parametrize("mu", [0.02, 1.0])
def test_transmission_is_the_exponential_of_the_ray_transform(mu: float) -> None:
    operator = TransmissionCT(Transmission(SCAN, mu), torch.float64)
    u = normal(2, 1, 4, 5).abs()
    p = dense_matrix(RayTransform(SCAN, torch.float64))
    expected = torch.exp(-mu * u.flatten(1) @ p.T)
    torch.testing.assert_close(operator(u).flatten(1), expected)
    v = normal(2, 1, 6, 7)
    pulled = operator.linearise(u)[1].adjoint(v).flatten(1)
    torch.testing.assert_close(pulled, -mu * (expected * v.flatten(1)) @ p)


def test_without_either_it_is_the_share_of_photons() -> None:
    plain = TransmissionCT(Transmission(SCAN, 0.1), torch.float64)
    u = normal(4, 5).abs()
    assert torch.equal(plain(u), torch.exp(-0.1 * RAY(u)))
    torch.testing.assert_close(COUNTS(u), 300 * plain(u) + 20)


def test_a_scatter_of_every_pixel_replaces_the_constant() -> None:
    scatter = normal(2, 1, 6, 7).abs()
    own = COUNTS.with_tensors({"scatter": scatter})
    u = normal(2, 1, 4, 5)
    torch.testing.assert_close(own(u), COUNTS(u) - 20 + scatter)
    torch.testing.assert_close(own.linearise(u)[1](u), COUNTS.linearise(u)[1](u))
    part = own.subset([4, 0])
    torch.testing.assert_close(part(u), own(u)[..., [4, 0], :])
    assert torch.equal(own.with_tensors({})(u), own(u))


def test_scatter_and_angles_are_put_in_one_after_the_other() -> None:
    scatter, angles = normal(6, 7).abs(), torch.linspace(0.2, 3, 6).double()
    u = normal(4, 5)
    both = COUNTS.with_tensors({"scatter": scatter, "angles": angles})
    one = COUNTS.with_tensors({"angles": angles}).with_tensors({"scatter": scatter})
    assert torch.equal(both(u), one(u))
    turned = RAY.with_tensors({"angles": angles})
    torch.testing.assert_close(both(u), 300 * torch.exp(-0.1 * turned(u)) + scatter)


def test_gradients_reach_the_scatter() -> None:
    scatter = normal(6, 7).abs().requires_grad_()
    v = normal(6, 7, seed=1)
    value, _ = COUNTS.with_tensors({"scatter": scatter}).linearise(normal(4, 5))
    (gradient,) = torch.autograd.grad(value, scatter, v)
    assert torch.equal(gradient, v)


def test_rows_are_angles() -> None:
    u = normal(4, 5)
    part = COUNTS.subset([5, 2])
    assert part.transmission == Transmission(SCAN.subset([5, 2]), 0.1, 300.0, 20.0)
    torch.testing.assert_close(part(u), COUNTS(u)[[5, 2]])
    whole = dense_matrix(COUNTS.linearise(u)[1]).reshape(6, 7, 20)
    found = dense_matrix(part.linearise(u)[1])
    torch.testing.assert_close(found, whole[[5, 2]].reshape(14, 20))


def test_filtered_backprojection_takes_scatter_off_before_the_logarithm() -> None:
    u = normal(4, 5).abs()
    for operator in (COUNTS, COUNTS.with_tensors({"scatter": 5 * normal(6, 7).abs()})):
        torch.testing.assert_close(
            pseudo_inverse(operator, operator(u)), fbp(RayTransform(SCAN), RAY(u))
        )


def test_files_keep_their_format() -> None:
    """What was written before there was scatter still reads, and new fields come back."""
    spec = Transmission(SCAN, 0.1)
    plain = specs.named_to_plain(OPERATORS, spec)
    old = {key: plain[key] for key in ("name", "geometry", "mu")}
    assert specs.named_from_plain(OPERATORS, old) == spec
    full = Transmission(SCAN, 0.1, 300.0, 20.0)
    assert specs.named_from_plain(OPERATORS, specs.named_to_plain(OPERATORS, full)) == full


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mu", 0.0),
        ("intensity", 0.0),
        ("intensity", -1.0),
        ("intensity", math.inf),
        ("scatter", -1e-3),
        ("scatter", math.nan),
        ("scatter", "much"),
    ],
)
def test_what_is_no_measurement(name: str, value: Any) -> None:
    with pytest.raises(GeometryError, match=str(value)):
        Transmission(SCAN, **{name: value})


def test_what_is_no_scatter() -> None:
    with pytest.raises(ShapeError, match=r"scatter with last axes \(6, 7\)"):
        COUNTS.with_tensors({"scatter": torch.ones(7, 6)})
    for value in (-1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="scatter that is finite and not negative"):
            COUNTS.with_tensors({"scatter": torch.full((6, 7), value)})
    with pytest.raises(GeometryError, match="mask"):
        COUNTS.with_tensors({"mask": torch.ones(6, 7)})
