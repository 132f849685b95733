"""Masks by name, and masks found in data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from learnedrecon import specs
from learnedrecon.errors import ConfigError, DataError, ShapeError
from learnedrecon.operators.mri.sampling import (
    MASKS,
    Equispaced,
    Magic,
    Mask,
    MaskSpec,
    PoissonDisc,
    RandomLines,
    Spiral,
    acceleration,
    sampling_mask,
)
from learnedrecon.operators.mri.sampling_lines import line_mask

BRAIN = Path(__file__).parents[2].parent / "shared" / "data" / "brain_kspace.npy"


@pytest.mark.parametrize("name", MASKS)
def test_every_kind_draws_by_its_name(name: str) -> None:
    mask = specs.named_from_plain(MASKS, {"name": name})
    drawn = mask.draw((96, 80), 5)
    assert drawn.shape == (96, 80)
    assert drawn.dtype == torch.bool
    assert torch.equal(drawn, mask.draw((96, 80), 5))
    assert 2.0 < float(acceleration(drawn)) < 5.0
    drawn[0, 0] = True  # not a view of something that others see
    assert specs.named_to_plain(MASKS, mask)["name"] == name


@pytest.mark.parametrize("name", MASKS)
def test_every_spec_survives_plain_data(name: str) -> None:
    mask = specs.named_from_plain(MASKS, {"name": name})
    adapter = TypeAdapter(MaskSpec)
    plain = adapter.dump_python(mask, mode="json")
    assert adapter.validate_python(plain) == mask
    assert type(adapter.validate_python(plain)) is MASKS[name].spec


def test_kinds_with_equal_numbers_are_not_equal() -> None:
    kinds: list[Mask] = [RandomLines(), Equispaced()]
    assert kinds[0] != kinds[1]
    assert Equispaced((8,), (0.04,)) == Equispaced((8,), (0.04,))


def test_lines_run_along_ky() -> None:
    name = "file1000000.h5"
    drawn = Magic((8,), (0.04,)).draw((10, 368), name)
    lines = line_mask("magic", 368, accelerations=(8,), centre_fractions=(0.04,), seed=name)
    np.testing.assert_array_equal(drawn.numpy(), np.tile(lines, (10, 1)))


def test_wrong_specs_are_refused_with_their_place() -> None:
    with pytest.raises(ConfigError, match="one centre fraction for each"):
        RandomLines((4, 8), (0.08,))
    with pytest.raises(ConfigError, match="did you mean 'poisson_disc'"):
        specs.named_from_plain(MASKS, {"name": "poisson"}, "mask")
    with pytest.raises(ConfigError, match="'arms'"):
        specs.named_from_plain(MASKS, {"name": "spiral", "arm": 3}, "mask")


@pytest.mark.parametrize("mask", [Equispaced(), PoissonDisc(), Spiral()])
def test_shapes_without_samples_are_refused(mask: Mask) -> None:
    with pytest.raises(ShapeError, match=r"\(ky, kx\)"):
        mask.draw((0, 32), 1)


def test_the_mask_is_found_in_the_data() -> None:
    mask = PoissonDisc(calibration=8).draw((32, 24), 3)
    generator = torch.Generator().manual_seed(0)
    full = torch.randn(2, 1, 4, 32, 24, dtype=torch.complex64, generator=generator)
    found = sampling_mask(full * mask)
    assert found.shape == (2, 1, 1, 32, 24)
    assert torch.equal(found, mask.expand(2, 1, 1, -1, -1))
    assert torch.equal(sampling_mask(full[0, 0, 0] * mask, coil_axis=None), mask)
    torch.testing.assert_close(acceleration(found), torch.full((2, 1, 1), 4.0).double())


def test_a_sample_counts_if_one_coil_has_it() -> None:
    kspace = torch.zeros(2, 4, 4, dtype=torch.complex128)
    kspace[0, 1, 2] = torch.tensor(1j)
    kspace[1, 3, 3] = -1.0
    found = sampling_mask(kspace)
    assert found.nonzero().tolist() == [[0, 1, 2], [0, 3, 3]]
    assert float(acceleration(found)) == 8.0


def test_an_empty_mask_is_infinitely_fast() -> None:
    assert float(acceleration(torch.zeros(3, 3, dtype=torch.bool))) == math.inf


@pytest.mark.skipif(not BRAIN.is_file(), reason="the measured brain of shared/data is absent")
def test_the_brain_is_undersampled_about_eight_times() -> None:
    found = sampling_mask(torch.from_numpy(np.load(BRAIN)))
    assert found.shape == (1, 230, 180)
    assert float(acceleration(found)) == pytest.approx(8.04, abs=0.01)
    assert bool(found[0, 103:127, 78:102].all())


def test_data_that_hold_no_mask_are_refused() -> None:
    with pytest.raises(DataError, match="nothing but zeros"):
        sampling_mask(torch.zeros(2, 4, 4, dtype=torch.complex64))
    with pytest.raises(DataError, match="NaN"):
        sampling_mask(torch.full((2, 4, 4), math.nan, dtype=torch.complex64))
    with pytest.raises(ShapeError, match="coil"):
        sampling_mask(torch.ones(4, 4, dtype=torch.complex64))


def test_accelerations_are_of_boolean_masks() -> None:
    with pytest.raises(ConfigError, match="boolean"):
        acceleration(torch.ones(4, 4))
    with pytest.raises(ShapeError, match="ky, kx"):
        acceleration(torch.ones(4, dtype=torch.bool))
