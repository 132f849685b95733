"""What a file of transmissions may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learnedrecon.errors import DataError
from learnedrecon.experiments.acquisition import refuse_values
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transmission import Transmission

SCAN = ParallelBeam((4, 5), AngleRange(2), FlatDetector(3))
FILE = Path("scan.npy")


def measurement(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 6, dtype=np.float32).reshape(2, 3)


def test_values_are_compared_with_intensity_and_scatter() -> None:
    shares, counts = Transmission(SCAN), Transmission(SCAN, 1.0, intensity=500.0, scatter=100.0)
    refuse_values(shares, measurement(0.0, 1.2), FILE)
    refuse_values(counts, measurement(100.0, 650.0), FILE)
    with pytest.raises(DataError, match=r"between 0 and 1 in scan\.npy.*raw counts"):
        refuse_values(shares, measurement(100.0, 650.0), FILE)
    with pytest.raises(DataError, match=r"between 100 and 600 in scan\.npy"):
        refuse_values(counts, measurement(-90.0, 600.0), FILE)
