"""Every function of an operator and data takes them in this order, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from learnedrecon.errors import DtypeError, GeometryError
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.solvers.cg_sense import cg_sense
from learnedrecon.solvers.lsqr import lsqr
from learnedrecon.solvers.normal import solve_normal
from learnedrecon.solvers.tv import tv_reconstruction

if TYPE_CHECKING:
    from collections.abc import Callable

SCAN = ParallelBeam((4, 5), AngleRange(6), FlatDetector(7))
RAY, CURVED = RayTransform(SCAN), TransmissionCT(Transmission(SCAN, 0.1))
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lsqr": lsqr,
    "cg_sense": cg_sense,
    "solve_normal": lambda operator, data: solve_normal(operator, data, 0.1),
    "tv_reconstruction": lambda operator, data: tv_reconstruction(operator, data, 0.1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_orders_and_kinds_are_named(name: str) -> None:
    function, data = FUNCTIONS[name], torch.zeros(1, 1, 6, 7)
    with pytest.raises(GeometryError, match=rf"swap the two: {name}\(operator, data\)"):
        function(data, RAY)
    with pytest.raises(GeometryError, match=rf"{name}\(RayTransform\(geometry\), data\)"):
        function(SCAN, data)
    with pytest.raises(GeometryError, match=r"TransmissionCT.*linearise it"):
        function(CURVED, data)
    with pytest.raises(DtypeError, match="data as a torch tensor"):
        function(RAY, data.numpy())
