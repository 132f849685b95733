"""The Triton kernels compile for a GPU, as they are launched; no GPU is needed for that."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = {
    *("frame_2d", "pack_data_2d", "project_2d", "prepare_2d", "backproject_2d"),
    *("axes_3d", "pack_data_3d", "project_3d", "prepare_3d", "backproject_3d"),
}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_every_kernel_compiles_for_an_h100_without_spilling(tmp_path: Path) -> None:
    driver = Path(__file__).with_name("triton_compile_driver.py")
    env = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    env.pop("TRITON_INTERPRET", None)
    result = subprocess.run(
        [sys.executable, str(driver)], check=True, capture_output=True, text=True, env=env
    )
    rows = json.loads(result.stdout)
    assert {row["kernel"] for row in rows} == KERNELS
    assert len(rows) > 60
    for row in rows:
        assert row["ptx"], row
        assert row["stack"] == 0, row
