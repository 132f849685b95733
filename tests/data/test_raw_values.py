"""Counts and transmissions are noticed where line integrals are meant, without a true image."""

from __future__ import annotations

import pytest
import torch

from learnedrecon.data.raw_values import raw_values, seems_raw
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.space import Space

SCANS = {
    "wide": RayTransform(ParallelBeam((32, 32), AngleRange(40), FlatDetector(61))),
    "narrow": RayTransform(ParallelBeam((32, 32), AngleRange(40), FlatDetector(33))),
    "fan": RayTransform(
        FanBeam((32, 32), AngleRange(40, arc=6.283), FlatDetector(80, 1.5), 60.0, 40.0)
    ),
}


def line_integrals(operator: RayTransform, size: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    disc = ((y - 14) ** 2 + (x - 17) ** 2 < 9**2).float()
    clean = operator(size * disc)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + 0.01 * clean.mean() * noise


@pytest.mark.parametrize("size", [0.002, 0.02, 0.2, 4.0])
@pytest.mark.parametrize("name", SCANS)
def test_line_integrals_are_none_of_both(name: str, size: float) -> None:
    data = line_integrals(SCANS[name], size)
    assert raw_values(SCANS[name], data) is None
    assert seems_raw(data) is None


@pytest.mark.parametrize("size", [0.002, 0.02, 0.2])
@pytest.mark.parametrize("name", SCANS)
def test_transmissions_and_counts_are_seen_with_the_value_to_divide_by(
    name: str, size: float
) -> None:
    share = torch.exp(-line_integrals(SCANS[name], size))
    said = raw_values(SCANS[name], share)
    assert said is not None
    assert "transmissions" in said
    assert float(said.split("y/")[1].split(")")[0]) == pytest.approx(1, rel=5e-3)
    assert "transmissions" in str(seems_raw(share))
    counts = (30000 * share).round()
    said = str(raw_values(SCANS[name], counts))
    assert "raw counts" in said
    assert float(said.split("y/")[1].split(")")[0]) == pytest.approx(30000, rel=5e-3)


def test_other_operators_are_not_asked() -> None:
    operator = Diagonal(Space((7,)), torch.ones(7))
    assert raw_values(operator, torch.full((1, 1, 7), 1000.0)) is None
