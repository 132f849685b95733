"""What is computed from a tensor once follows it where it is changed in place."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.operators.imaging.blur import Blur, PointSpread
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian

DOUBLE = torch.float64
KERNEL = torch.rand(3, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("boundary", ["circular", "symmetric"])
def test_a_kernel(method: str, boundary: str) -> None:
    operator = Blur(PointSpread((8, 9), KERNEL, boundary, method=method), DOUBLE)  # type: ignore[arg-type]
    u = operator.domain.random(torch.Generator().manual_seed(1))
    v = operator.codomain.random(torch.Generator().manual_seed(2))
    before, norm, back = operator(u), operator.norm(), operator.adjoint(v)
    operator.kernel.mul_(2)
    torch.testing.assert_close(operator(u), 2 * before)
    torch.testing.assert_close(operator.adjoint(v), 2 * back)
    assert operator.norm() == pytest.approx(2 * norm, rel=1e-5)
    if boundary == "circular":
        inverse = operator.normal_inverse(u, 0.5)
        assert inverse is not None
        torch.testing.assert_close(operator.adjoint(operator(inverse)) + 0.5 * inverse, u)


def test_a_kernel_of_samples() -> None:
    plain = Blur(PointSpread((8, 9), KERNEL), DOUBLE)  # type: ignore[arg-type]
    kernels = torch.stack([KERNEL, 2 * KERNEL])[:, None]
    operator = plain.with_tensors({"kernel": kernels})
    u = operator.domain.random(torch.Generator().manual_seed(1), (2, 1))
    operator(u)
    kernels[1].fill_(0)
    torch.testing.assert_close(operator(u)[0], plain(u[0]))
    assert not bool(operator(u)[1].any())


@pytest.mark.parametrize("coils", [None, 2])
def test_a_mask(coils: int | None) -> None:
    mask = torch.zeros(8, 10, dtype=torch.bool)
    mask[:, ::2] = True
    maps = None if coils is None else torch.randn(coils, 8, 10, dtype=torch.complex128)
    operator = CartesianMRI(Cartesian((8, 10), coils=coils), mask, maps, torch.complex128)
    u = operator.domain.random(torch.Generator().manual_seed(1))
    operator(u), operator.norm()
    assert operator.mask is not None
    operator.mask[:, 1] = True
    new = torch.zeros(8, 10, dtype=torch.bool)
    new[:, ::2] = new[:, 1] = True
    fresh = CartesianMRI(Cartesian((8, 10), coils=coils), new, maps, torch.complex128)
    torch.testing.assert_close(operator(u), fresh(u))
    torch.testing.assert_close(operator.adjoint(fresh(u)), fresh.adjoint(fresh(u)))
    assert float(torch.as_tensor(operator.norm()).max()) == pytest.approx(
        float(torch.as_tensor(fresh.norm()).max()), rel=1e-5
    )
