"""NIfTI files against the offsets of the standard, nifti1.h."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from learnedrecon.data.files.nifti import nifti_bytes, write_nifti

if TYPE_CHECKING:
    from pathlib import Path


def test_the_header_is_that_of_the_standard() -> None:
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = nifti_bytes(volume, (4.5, 0.7, 0.6))
    assert struct.unpack_from("<i", content, 0) == (348,)
    assert struct.unpack_from("<8h", content, 40) == (3, 4, 3, 2, 1, 1, 1, 1)
    assert struct.unpack_from("<2h", content, 70) == (16, 32), "float32"
    assert struct.unpack_from("<4f", content, 76) == pytest.approx((1, 0.6, 0.7, 4.5))
    assert struct.unpack_from("<3f", content, 108) == (352, 1, 0)
    assert content[123] == 2, "millimetres"
    assert struct.unpack_from("<2h", content, 252) == (0, 0), "no orientation"
    assert content[344:352] == b"n+1\0\0\0\0\0"
    stored = np.frombuffer(content, "<f4", offset=352).reshape(4, 3, 2, order="F")
    assert stored[3, 1, 1] == volume[1, 1, 3]
    assert len(content) == 352 + 4 * 24


def test_compressed_files_are_equal_for_equal_volumes(tmp_path: Path) -> None:
    volume = np.ones((1, 2, 2))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, volume, None, compressed=True)
    one, other = ((tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert one == other
    assert gzip.decompress(one) == nifti_bytes(volume, None)
    assert nifti_bytes(volume, None)[123] == 0
