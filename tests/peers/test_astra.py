"""ASTRA's CPU projectors as our operators. Its CUDA ones need a GPU and are not run here."""

from __future__ import annotations

import copy
import gc
from typing import Any

import astra
import numpy as np
import pytest
import torch

from learnedrecon.errors import DtypeError, GeometryError
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.operators.adapters.astra import AstraTransform, from_astra
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.problem import InverseProblem
from learnedrecon.testing import check_operator

ANGLES = np.linspace(0, np.pi, 7, endpoint=False)
VOLUME = astra.create_vol_geom(10, 12)
PARALLEL = astra.create_proj_geom("parallel", 1.1, 17, ANGLES)
FAN = astra.create_proj_geom("fanflat", 1.7, 17, 2 * ANGLES, 40.0, 25.0)
CASES: dict[str, tuple[dict[str, Any], str | None]] = {
    "default": (PARALLEL, None),
    "linear": (PARALLEL, "linear"),
    "line": (PARALLEL, "line"),
    "strip": (PARALLEL, "strip"),
    "vectors": (astra.geom_2vec(PARALLEL), "linear"),
    "fan": (FAN, None),
    "fan strip": (FAN, "strip_fanflat"),
    "fan vectors": (astra.geom_2vec(FAN), "line_fanflat"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cpu_projector_is_an_operator(name: str) -> None:
    """Subsets of angles included."""
    rays, projector = CASES[name]
    operator = from_astra(rays, VOLUME, projector)
    assert operator.exact_adjoint
    assert (operator.domain.shape, operator.codomain.shape) == ((10, 12), (7, 17))
    check_operator(operator)


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_is_that_of_astra(name: str) -> None:
    rays, projector = CASES[name]
    operator = from_astra(rays, VOLUME, projector)
    number = operator.handle._operator.proj_id
    theirs = astra.matrix.get(astra.projector.matrix(number)).toarray()
    basis = torch.eye(120).reshape(120, 10, 12)
    np.testing.assert_allclose(operator(basis).reshape(120, -1).T, theirs, rtol=0, atol=2e-6)


def test_the_linear_projector_is_ours_with_the_rows_upside_down() -> None:
    geometry = ParallelBeam((10, 10), AngleRange(7), FlatDetector(15))
    rays = astra.create_proj_geom("parallel", 1.0, 15, np.array(geometry.angle_values))
    operator = from_astra(rays, astra.create_vol_geom(10, 10))
    u = torch.rand(2, 10, 10)
    torch.testing.assert_close(operator(u.flip(-2)), RayTransform(geometry)(u), rtol=0, atol=1e-4)


def test_projectors_are_freed() -> None:
    operator = from_astra(PARALLEL, VOLUME)
    number = operator.handle._operator.proj_id
    other = copy.deepcopy(operator).double()
    del operator
    gc.collect()
    assert astra.projector.volume_geometry(number)["GridColCount"] == 12
    del other
    gc.collect()
    with pytest.raises(Exception, match=r"(?i)not found|unknown|invalid|initialized"):
        astra.projector.volume_geometry(number)


def test_cuda_projectors_have_to_be_asked_for() -> None:
    with pytest.raises(GeometryError, match=r"'cuda'(?s:.*)approximate_adjoint=True"):
        from_astra(PARALLEL, VOLUME, "cuda")
    volume = astra.create_vol_geom(6, 5, 4)
    rays = astra.create_proj_geom("cone", 1.0, 1.1, 7, 9, ANGLES, 40.0, 20.0)
    with pytest.raises(GeometryError, match="'cuda3d'"):
        from_astra(rays, volume)
    operator = from_astra(rays, volume, approximate_adjoint=True)
    assert isinstance(operator, AstraTransform)
    assert not operator.exact_adjoint
    assert (operator.domain.shape, operator.codomain.shape) == ((4, 6, 5), (7, 7, 9))


def test_what_astra_does_not_have_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"'linear' for 'fanflat'"):
        from_astra(FAN, VOLUME, "linear")
    with pytest.raises(DtypeError, match="create_proj_geom"):
        from_astra(None, VOLUME)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="create_vol_geom"):
        from_astra(PARALLEL, (10, 12))  # type: ignore[arg-type]


def test_our_scheme_trains_on_astra() -> None:
    operator = from_astra(PARALLEL, VOLUME)
    coarse = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    truth = torch.nn.functional.interpolate(coarse, (10, 12), mode="bilinear")
    measured = InverseProblem(operator, operator(truth))
    model = LearnedPrimalDual(iterations=3, primal=2, dual=2, hidden=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = (model(measured).image - truth).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
