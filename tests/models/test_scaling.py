"""Sizes are chosen in one place: units, strengths and numbers of angles, with real models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from learnedrecon import specs
from learnedrecon.data.phantoms.ellipses import ellipse_phantom, ellipse_preset
from learnedrecon.models.classical import FBP
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.unet import UNetSpec
from learnedrecon.operators.ray.geometry2d import AngleRange, FanBeam, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.reconstructor import Iterative
from learnedrecon.schemes.scaling import AdjointScale
from learnedrecon.testing.steps import perturb

if TYPE_CHECKING:
    from learnedrecon.operators.ray.geometry2d import Geometry
    from learnedrecon.schemes.reconstructor import Reconstructor

MILLIMETRES: dict[str, Geometry] = {
    "parallel": ParallelBeam((16, 14), AngleRange(9), FlatDetector(23, 1.1, 0.8), (1.0, 1.2)),
    "fan": FanBeam((16, 14), AngleRange(12, arc=2 * math.pi), FlatDetector(23, 2.0), 40.0, 30.0),
}
CENTIMETRES: dict[str, Geometry] = {
    "parallel": ParallelBeam((16, 14), AngleRange(9), FlatDetector(23, 0.11, 0.08), (0.1, 0.12)),
    "fan": FanBeam((16, 14), AngleRange(12, arc=2 * math.pi), FlatDetector(23, 0.2), 4.0, 3.0, 0.1),
}
WATER = 0.02
SMALL: dict[str, Any] = {"iterations": 3, "hidden": 6, "image_scale": WATER}
ITERATIVE: dict[str, Any] = {
    name: MODELS[name].spec(**SMALL)
    for name in ("learned_gradient", "learned_primal_dual", "filtered_primal_dual")
}
UNET = UNetSpec(base=4, depth=2, groups=2)
LEARNED: dict[str, Any] = ITERATIVE | {
    "post_processing": MODELS["post_processing"].spec(network=UNET, image_scale=WATER)
}


def built(spec: Any) -> Reconstructor:
    """A model in double precision whose weights are as after some training: none is zero."""
    torch.manual_seed(0)
    model = specs.build(MODELS, spec).double()
    perturb(model, seed=0)
    return model


def water(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 2 * WATER * torch.rand(batch, 1, 16, 14, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("beam", MILLIMETRES)
@pytest.mark.parametrize("name", LEARNED)
def test_millimetres_to_centimetres_changes_nothing_but_the_unit(name: str, beam: str) -> None:
    """The same weights; c is a length to the power -1, so 0.02/mm is 0.2/cm."""
    mm, cm = (RayTransform(g[beam], torch.float64) for g in (MILLIMETRES, CENTIMETRES))
    first, second = built(LEARNED[name]), built(replace(LEARNED[name], image_scale=10 * WATER))
    torch.testing.assert_close(cm(10 * water()), mm(water()))
    u = first(InverseProblem(mm, mm(water()))).image
    v = second(InverseProblem(cm, cm(10 * water()))).image
    torch.testing.assert_close(v, 10 * u, rtol=1e-6, atol=1e-6 * WATER)


@pytest.mark.parametrize("name", ITERATIVE)
def test_millimetres_to_centimetres_of_photons(name: str) -> None:
    mm, cm = (
        TransmissionCT(Transmission(g["parallel"]), torch.float64)
        for g in (MILLIMETRES, CENTIMETRES)
    )
    first, second = built(ITERATIVE[name]), built(replace(ITERATIVE[name], image_scale=10 * WATER))
    u = first(InverseProblem(mm, mm(water()))).image
    v = second(InverseProblem(cm, cm(10 * water()))).image
    torch.testing.assert_close(v, 10 * u, rtol=1e-9, atol=1e-9 * WATER)


@pytest.mark.parametrize("name", LEARNED)
def test_the_image_scale_is_the_unit_in_which_networks_see_images(name: str) -> None:
    """c and y a thousand times as large: the networks see the same numbers."""
    operator = RayTransform(MILLIMETRES["parallel"], torch.float64)
    y = operator(water())
    first, second = built(LEARNED[name]), built(replace(LEARNED[name], image_scale=1000 * WATER))
    with torch.no_grad():
        u = first(InverseProblem(operator, y)).image
        large = second(InverseProblem(operator, 1000 * y)).image
        unscaled = second(InverseProblem(operator, y)).image
    torch.testing.assert_close(large, 1000 * u)
    assert float((unscaled - u).abs().max()) > 1e-3 * WATER, "a scale that is not used"


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_scale_per_sample_makes_it_homogeneous(name: str) -> None:
    """y → a·y gives a·u, with an a for each sample."""
    operator = RayTransform(MILLIMETRES["parallel"], torch.float64)
    model = built(ITERATIVE[name])
    assert isinstance(model, Iterative)
    model.scaling = AdjointScale()
    y = operator(water(3))
    a = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64).view(3, 1, 1, 1)
    u = model(InverseProblem(operator, y)).image
    torch.testing.assert_close(model(InverseProblem(operator, a * y)).image, a * u)


def scan(angles: int) -> RayTransform:
    return RayTransform(ParallelBeam((32, 32), AngleRange(angles), FlatDetector(47)))


@pytest.mark.parametrize("angles", [20, 60])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("learned_gradient", 0.1),
        ("learned_primal_dual", 0.2),
        ("filtered_primal_dual", 0.01),
        ("post_processing", 0.01),
    ],
)
def test_random_weights_see_much_the_same_at_other_numbers_of_angles(
    name: str, change: float, angles: int
) -> None:
    """With the norm at 30 angles, learned primal-dual would change by 0.37 at 20, 1.1 at 60."""
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, 32)], indexing="ij")
    truth = WATER * torch.exp(-8 * ((x - 0.2) ** 2 + (y + 0.1) ** 2))[None, None]
    torch.manual_seed(0)
    model = specs.build(MODELS, LEARNED[name])
    with torch.no_grad():
        u, v = (model(InverseProblem(t, t(truth))).image for t in (scan(30), scan(angles)))
    assert v.shape == (1, 1, 32, 32)
    assert float((v - u).norm() / u.norm()) < change


def test_weights_trained_at_30_angles_are_good_at_20_and_60() -> None:
    torch.manual_seed(0)
    model = FilteredPrimalDual(iterations=2, hidden=8)
    train(model, scan(30), steps=80)
    for angles in (20, 30, 60):
        truth, problem = phantoms(scan(angles), range(1000, 1032))
        with torch.no_grad():
            fbp, learned = (
                (m(problem).image - truth).square().mean().log10() * -10
                for m in (FBP("hann", 0.8), model)
            )
        assert float(learned - fbp) > 3, f"{angles} angles"


def train(model: Reconstructor, operator: RayTransform, steps: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        truth, problem = phantoms(operator, range(4 * step, 4 * step + 4))
        optimiser.zero_grad()
        (model(problem).image - truth).square().mean().backward()
        optimiser.step()


def phantoms(operator: RayTransform, numbers: range) -> tuple[torch.Tensor, InverseProblem]:
    law = ellipse_preset("dival")
    images = [ellipse_phantom(law, k, 32, seed=0, split="train") for k in numbers]
    truth = torch.from_numpy(np.stack(images))[:, None]
    return truth, InverseProblem(operator, operator(truth))


def test_the_norm_is_that_of_the_operator_at_hand() -> None:
    """Twice the angles, each twice: T is √2 as large, and zero networks leave FBP as it is."""
    once = ParallelBeam((16, 14), AngleRange(9), FlatDetector(23))
    twice = once.with_angles(2 * once.angle_values)
    first, second = (RayTransform(g, torch.float64) for g in (once, twice))
    assert second.norm() == pytest.approx(math.sqrt(2) * first.norm(), rel=1e-6)
    model = built(ITERATIVE["filtered_primal_dual"])
    for name, p in model.named_parameters():
        if "dual_network" in name:  # it sees sinograms, whose rows are now arranged otherwise
            torch.nn.init.zeros_(p)
    u = model(InverseProblem(first, first(water()))).image
    v = model(InverseProblem(second, second(water()))).image
    torch.testing.assert_close(u, v, rtol=1e-6, atol=1e-6 * WATER)
