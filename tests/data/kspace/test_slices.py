"""Slices: cropping, centres, maps and scales against plain numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.kspace_files import SMALL, as_tensor, inverse, kspace_of, middle, write_scan

from learnedrecon.data.kspace.facts import kspace_facts, noise_of
from learnedrecon.data.kspace.files import read_kspace
from learnedrecon.data.kspace.slices import (
    CoilMapSpec,
    combined,
    crop_readout,
    maps_of,
    read_slice,
    sampled_centre,
)
from learnedrecon.errors import ConfigError, DataError
from learnedrecon.solvers.coils.coil_maps import coil_images, rss

if TYPE_CHECKING:
    from pathlib import Path

NO_FILES = CoilMapSpec(cache="none")


def test_the_readout_is_cropped_in_the_image(tmp_path: Path) -> None:
    """The image of the cropped k-space is the middle of the image of all of it."""
    part = read_slice(read_kspace(write_scan(tmp_path / "file1.h5", SMALL.but(noise=0.1))), 1)
    whole = inverse(kspace_of(SMALL.but(noise=0.1))[1].astype(np.complex128))
    expected = as_tensor(middle(whole, (32, 36)))
    error = (coil_images(part.kspace) - expected).norm() / expected.norm()
    assert float(error) < 1e-6
    assert part.spec.shape == (32, 36)
    assert part.spec.coils == 4


@pytest.mark.parametrize(("size", "rows"), [(64, 32), (65, 32), (64, 33), (7, 7)])
def test_cropping_keeps_the_middle_pixel(size: int, rows: int) -> None:
    image = torch.randn(2, size, 5, dtype=torch.complex128)
    shifted = torch.fft.ifftshift(image, dim=-2)
    kspace = torch.fft.fftshift(torch.fft.fft(shifted, dim=-2, norm="ortho"), dim=-2)
    cropped = torch.fft.ifftshift(crop_readout(kspace, rows), dim=-2)
    found = torch.fft.fftshift(torch.fft.ifft(cropped, dim=-2, norm="ortho"), dim=-2)
    start = size // 2 - rows // 2
    assert torch.allclose(found, image[:, start : start + rows], atol=1e-12)


def test_points_are_not_cropped(tmp_path: Path) -> None:
    """Where a mask varies along ky, that is no readout."""
    values = kspace_of(SMALL)[0]
    values[:, 3, 5] = 0
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "a.yaml").write_text("axes: [coil, ky, kx]\nmatrix: [32, 32]\n")
    assert read_slice(read_kspace(tmp_path / "a.npy"), 0).spec.shape == (64, 36)


def test_columns_without_samples_are_not_acquired(tmp_path: Path) -> None:
    part = read_slice(read_kspace(write_scan(tmp_path / "file1.h5", SMALL.but(padding=4))), 0)
    assert part.acquired.all(0).nonzero().flatten().tolist() == list(range(4, 32))
    assert not part.kspace[..., :4].any()


@pytest.mark.parametrize("shape", [(30, 36), (31, 37), (30, 37)])
@pytest.mark.parametrize("size", [(5, 8), (6, 7), (11, 11)])
def test_the_sampled_centre_is_found(shape: tuple[int, int], size: tuple[int, int]) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    rows, columns = (n // 2 - s // 2 for n, s in zip(shape, size, strict=True))
    mask[rows : rows + size[0], columns : columns + size[1]] = True
    assert sampled_centre(mask, 24) == size
    assert sampled_centre(mask, 6) == (min(size[0], 6), min(size[1], 6))
    assert sampled_centre(torch.zeros_like(mask), 6) == (0, 0)
    assert sampled_centre(torch.ones_like(mask), 99) == shape


def test_maps_and_image_of_a_slice(tmp_path: Path) -> None:
    """The combined image has the magnitude of the root of the sum of squares."""
    kspace = read_slice(read_kspace(write_scan(tmp_path / "file1.h5")), 0).kspace
    maps = maps_of(kspace, (24, 12), NO_FILES)
    assert torch.allclose(rss(maps), torch.ones(32, 36), atol=1e-5)
    total = rss(coil_images(kspace))
    found = combined(kspace, maps).abs()
    assert bool((found <= total * (1 + 1e-5)).all())
    assert float((found - total).norm() / total.norm()) < 1e-4


def test_maps_of_a_narrow_centre_are_refused(tmp_path: Path) -> None:
    kspace = read_slice(read_kspace(write_scan(tmp_path / "file1.h5")), 0).kspace
    with pytest.raises(DataError, match="24 x 3"):
        maps_of(kspace, (24, 3), NO_FILES)
    fallback = CoilMapSpec(kind="low_resolution")
    assert maps_of(kspace, (24, 3), fallback).shape == (4, 32, 36)


@pytest.mark.parametrize("wrong", [{"kernel": 0}, {"kernel": 25}, {"crop": 2.0}, {"threshold": 1}])
def test_wrong_maps_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="maps"):
        CoilMapSpec(**wrong)  # type: ignore[arg-type]


def test_maps_come_from_disk_until_anything_changes(tmp_path: Path) -> None:
    kspace = read_slice(read_kspace(write_scan(tmp_path / "file1.h5")), 0).kspace
    spec = CoilMapSpec(cache=str(tmp_path / "maps"))
    first = maps_of(kspace, (16, 12), spec)
    (kept,) = (tmp_path / "maps").rglob("*.npy")
    np.save(kept, np.ones((4, 32, 36), np.complex64))
    assert torch.equal(maps_of(kspace, (16, 12), spec), torch.ones(4, 32, 36).to(kspace))
    outer = kspace.clone()
    outer[:, 0] = 1
    assert torch.equal(maps_of(outer, (16, 12), spec), torch.ones(4, 32, 36).to(kspace))
    inner = kspace.clone()
    inner[:, 16, 18] *= 2
    assert not torch.equal(maps_of(inner, (16, 12), spec), torch.ones(4, 32, 36).to(kspace))
    kept.write_bytes(b"broken")
    assert torch.equal(maps_of(kspace, (16, 12), spec), first)
    assert not list((tmp_path / "maps").rglob(".*"))


def test_a_folder_that_cannot_be_written_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kspace = read_slice(read_kspace(write_scan(tmp_path / "file1.h5")), 0).kspace
    (tmp_path / "file").write_text("in the way")
    spec = CoilMapSpec(cache=str(tmp_path / "file" / "maps"))
    assert torch.equal(maps_of(kspace, (16, 12), spec), maps_of(kspace, (16, 12), NO_FILES))
    maps_of(kspace, (16, 12), spec)
    assert len([r for r in caplog.records if "not kept" in r.message]) == 1


def test_the_noise_is_that_of_outer_k_space() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 96, 80, dtype=torch.complex64, generator=generator)
    y, x = torch.meshgrid(torch.arange(96) - 48, torch.arange(80) - 40, indexing="ij")
    signal = 1e4 * torch.exp(-(y**2 + x**2) / 40.0)
    sigma = 0.3
    found = noise_of(signal + sigma * 2**0.5 * noise, torch.ones(96, 80, dtype=torch.bool))
    assert found == pytest.approx(sigma, rel=0.05)


def test_the_facts_of_a_test_file(tmp_path: Path) -> None:
    mask = tuple(int(k % 4 == 0 or 14 <= k < 22) for k in range(36))
    facts = kspace_facts(read_kspace(write_scan(tmp_path / "f.h5", SMALL.but(mask=mask))), 0)
    assert facts.lines
    assert not facts.full
    assert facts.columns == sum(mask)
    assert facts.span == (0, 33)
    assert facts.acceleration == pytest.approx(33 / sum(mask))
    assert facts.centre[1] == 8
