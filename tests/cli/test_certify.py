"""`learnedrecon certify`: prints the proof of a run, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon.models.equilibrium import (
    EquilibriumGradient,
    GradientEquilibrium,
    PotentialLayers,
)
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.weights.checkpoint import save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from typer.testing import Result

    from learnedrecon.networks.bounded import Bound
    from learnedrecon.schemes.contraction import Contraction
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.weights.checkpoint import FidelityName

    Run = Callable[..., Result]

RAY = RayTransform(ParallelBeam((9, 9), AngleRange(6), FlatDetector(13)))


def weights(
    folder: Path,
    model: Reconstructor,
    factor: float = 1.0,
    fidelity: FidelityName = "least_squares",
) -> Path:
    path = folder / "weights.safetensors"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    save_weights(path, model, operator=RAY, fidelity=fidelity)
    return path


def equilibrium(bound: Bound = "layers") -> EquilibriumGradient:
    torch.manual_seed(0)
    layers = PotentialLayers(width=4, filters=6, bound=bound)
    return EquilibriumGradient(epsilon=0.9, network=layers)


def test_it_prints_the_proof(cli: Run, tmp_path: Path) -> None:
    path = weights(tmp_path, equilibrium())
    result = cli("certify", path, "--attack", "5")
    assert result.exit_code == 0, result.output
    assert "A contraction of u, by proof" in result.output
    assert "γ, contraction factor" in result.output
    assert "of the certified one" in result.output


def test_it_says_why_there_is_none(cli: Run, tmp_path: Path) -> None:
    path = weights(tmp_path, LearnedPrimalDual(iterations=2, hidden=4))
    result = cli("certify", path)
    assert result.exit_code == 1
    assert "No certificate: Chain is no fixed point iteration." in result.output


def test_nothing_is_proved_of_weights_without_a_bound(cli: Run, tmp_path: Path) -> None:
    result = cli("certify", weights(tmp_path, equilibrium("none"), factor=3.0))
    assert result.exit_code == 1
    assert "No certificate: ε = " in result.output
    assert "is not below 1 + μ/λ" in result.output


def test_other_data_terms_are_refused(cli: Run, tmp_path: Path) -> None:
    result = cli("certify", weights(tmp_path, equilibrium(), fidelity="kullback_leibler"))
    assert result.exit_code == 1
    assert "not for KullbackLeibler" in result.output


def test_a_mu_that_is_contradicted_is_an_error(cli: Run, tmp_path: Path) -> None:
    path = weights(tmp_path, equilibrium())
    result = cli("certify", path, "--mu", "5")
    assert result.exit_code != 0
    assert "by proof" not in result.output


def test_a_refuted_certificate_is_said_and_fails(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the step claimed half of its factor."""
    honest = GradientEquilibrium.contraction

    def half(self: GradientEquilibrium, largest: float, smallest: float) -> Contraction:
        found = honest(self, largest, smallest)
        return found._replace(factor=found.factor / 2)

    monkeypatch.setattr(GradientEquilibrium, "contraction", half)
    path = weights(tmp_path, equilibrium())
    result = cli("certify", path, "--attack", "5")
    assert result.exit_code == 1
    assert "REFUTED" in result.output
    assert cli("certify", path, "--attack", "-3").exit_code not in {0, 1}
