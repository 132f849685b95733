"""What benchmarks/gpu.py does without a GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.kernels.geometry import RayGeometry2D

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_cases_are_scans_and_count_their_updates(gpu: ModuleType) -> None:
    assert gpu.LARGE.updates == 256**3 * 128
    for case in gpu.CASES:
        assert case.vectors.shape == (case.angles, 6 * (len(case.sizes.shape) - 1))
        if len(case.sizes.shape) == 2:
            (ny, nx), (dy, dx) = case.sizes.shape, case.sizes.pixel
            (detectors,) = case.sizes.detectors
            plain = case.vectors[:3].numpy()
            geometry = RayGeometry2D(plain, case.sizes.diverging, detectors, (ny, nx), (dy, dx))
            centre = geometry.pixel_centres().mean(axis=1)
            radius = (centre**2).sum(axis=1) ** 0.5
            assert abs(radius - case.distance).max() < 1e-9


def test_gap_sees_what_is_not_adjoint(gpu: ModuleType) -> None:
    torch.manual_seed(0)
    matrix, u, v = torch.randn(4, 3), torch.randn(3), torch.randn(4)
    assert gpu.gap(u, matrix @ u, v, matrix.T @ v) < 1e-6
    assert gpu.gap(u, matrix @ u, v, 1.01 * matrix.T @ v) > 1e-4


def test_reference_is_a_transposed_pair(gpu: ModuleType) -> None:
    case = gpu.Case("small", gpu.square(8, 9), 4, 1)
    u, v = torch.rand(8, 8).double(), torch.rand(4, 9).double()
    tu, tv = gpu.reference(u, v, case.vectors, case.sizes)
    assert gpu.gap(u, tu, v, tv) < 1e-12


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(gpu: ModuleType) -> None:
    with pytest.raises(SystemExit, match="CUDA"):
        gpu.require_gpu()
