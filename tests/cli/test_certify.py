"""`learnedrecon certify`: prints the proof of a run, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from learnedrecon import specs
from learnedrecon.models.equilibrium import EquilibriumGradient
from learnedrecon.models.learned_primal_dual import LearnedPrimalDual
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.weights.checkpoint import Blueprint, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
