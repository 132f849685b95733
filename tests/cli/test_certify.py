"""`learnedrecon certify`: prints the proof of a run, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon import specs
from learnedrecon.models.equilibrium import EquilibriumGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.schemes.contraction import Contraction, GradientEquilibrium
from learnedrecon.weights.checkpoint import Blueprint, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from typer.testing import Result

    Run = Callable[..., Result]

GEOMETRY = ParallelBeam((9, 9), AngleRange(6), FlatDetector(13))


def weights(folder: Path, spec: object, factor: float = 1.0) -> Path:
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    model = specs.build(MODELS, spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    save_weights(path, model, blueprint=Blueprint.of(spec, GEOMETRY))
    return path


def test_it_prints_the_proof(cli: Run, tmp_path: Path) -> None:
    path = weights(tmp_path, EquilibriumGradient(width=4, filters=6, epsilon=0.9))
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
    spec = EquilibriumGradient(width=4, filters=6, epsilon=0.9, bound="none")
    result = cli("certify", weights(tmp_path, spec, factor=3.0))
    assert result.exit_code == 1
    assert "No certificate: ε = " in result.output
    assert "is not below 1 + μ/λ" in result.output


def test_other_data_terms_are_refused(cli: Run, tmp_path: Path) -> None:
    spec = EquilibriumGradient(width=4, filters=6, epsilon=0.9)
    path = tmp_path / "weights.safetensors"
    blueprint = Blueprint.of(spec, GEOMETRY, fidelity="kullback_leibler")
    save_weights(path, specs.build(MODELS, spec), blueprint=blueprint)
    result = cli("certify", path)
    assert result.exit_code == 1
    assert "not for KullbackLeibler" in result.output


def test_a_mu_that_is_contradicted_is_an_error(cli: Run, tmp_path: Path) -> None:
    path = weights(tmp_path, EquilibriumGradient(width=4, filters=6, epsilon=0.9))
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
    path = weights(tmp_path, EquilibriumGradient(width=4, filters=6, epsilon=0.9))
    result = cli("certify", path, "--attack", "5")
    assert result.exit_code == 1
    assert "REFUTED" in result.output
    assert cli("certify", path, "--attack", "-3").exit_code not in {0, 1}
