"""The example of the measured brain: how samples are left out, and what wins on them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.data.phantoms.birdcage import birdcage_maps
from learnedrecon.data.phantoms.shepp_logan import shepp_logan
from learnedrecon.operators.mri.sampling import PoissonDisc

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "brain_sense.py"
BRAIN = ROOT.parent / "shared" / "data" / "brain_kspace.npy"
needs_data = pytest.mark.skipif(
    not BRAIN.exists(), reason=f"needs the measured k-space {BRAIN.name}, see docs/brain.md"
)


@pytest.fixture(scope="module")
def brain() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("brain_sense", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["brain_sense"] = module
    spec.loader.exec_module(module)
    return module


def mask() -> torch.Tensor:
    return PoissonDisc(4.0, calibration=24).draw((64, 60), seed=1)


def test_three_disjoint_sets_make_the_mask(brain: ModuleType) -> None:
    whole = mask()
    parts = brain.split(whole)
    total = sum(part.int() for part in (parts.used, parts.choosing, parts.testing))
    assert torch.equal(total, whole.int())
    tenth = round(0.1 * int(whole.sum()))
    assert int(parts.choosing.sum()) == int(parts.testing.sum()) == tenth
    assert bool(parts.used[20:44, 18:42].all()), "the centre is kept for the coil maps"
    assert not torch.equal(brain.split(whole, seed=1).testing, parts.testing)


def simulated(brain: ModuleType, noise: float) -> tuple[object, torch.Tensor]:
    image = torch.from_numpy(shepp_logan((64, 60))).to(torch.complex64)[None, None]
    maps = birdcage_maps((64, 60), 6).to(torch.complex64)
    full = torch.ones(64, 60, dtype=torch.bool)
    clean = brain.Scan(torch.zeros(6, 64, 60, dtype=torch.complex64), maps).operator(full)(image)
    draw = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(0))
    kspace = (clean + noise * draw)[0, 0] * mask()
    return brain.Scan(kspace, maps), image


def test_regularisation_predicts_what_was_left_out(brain: ModuleType) -> None:
    scan, image = simulated(brain, 0.02)
    found = brain.outcomes(scan, brain.split(mask()))
    parts = brain.split(mask())
    residual = {name: scan.residual(one.image, parts.testing) for name, one in found.items()}  # type: ignore[attr-defined]
    assert residual["TV-SENSE"] < residual["CG-SENSE"] < residual["zero-filled"]
    error = {name: float((one.image - image).norm()) for name, one in found.items()}
    assert error["TV-SENSE"] < error["CG-SENSE"] < error["zero-filled"]
    assert all("Not converged" not in one.status for one in found.values())


def test_the_choice_is_made_on_other_samples_than_the_test(brain: ModuleType) -> None:
    scan, _ = simulated(brain, 0.02)
    parts = brain.split(mask())
    outcome = brain.chosen(scan, parts, brain.tikhonov, (1e-3, 1e-1))
    by_hand = [
        scan.residual(brain.tikhonov(scan, parts.used, w)[0], parts.choosing)  # type: ignore[attr-defined]
        for w in (1e-3, 1e-1)
    ]
    assert [score for _, score in outcome.tried] == pytest.approx(by_hand)
    assert outcome.weight == (1e-3, 1e-1)[by_hand.index(min(by_hand))]


@needs_data
@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    figure, results = tmp_path / "brain.png", tmp_path / "brain.json"
    call = [sys.executable, str(EXAMPLE), "--data", str(BRAIN), "--quick"]
    call += ["--figure", str(figure), "--results", str(results)]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text(encoding="utf-8"))["methods"]
    scores = {name: one["held_out_residual"] for name, one in found.items()}
    assert scores["TV-SENSE"] < 0.32 < scores["CG-SENSE"] < 0.4 < scores["zero-filled"]
    assert 10_000 < figure.stat().st_size <= 200_000
