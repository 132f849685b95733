from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from learnedrecon.errors import DataError
from learnedrecon.metrics import FixedRange
from learnedrecon.training.validation import MeanPsnr

if TYPE_CHECKING:
    from types import ModuleType


def test_every_image_counts_the_same(tiny: ModuleType) -> None:
    source = tiny.Source(dtype=torch.float64)
    model = tiny.Tiny(tiny.TinySpec(dropout=0.0)).double().eval()
    batches = [source.of([0, 1, 2]), source.of([3])]
    expected = []
    for number in range(4):
        batch = source.of([number])
        error = (model(batch.problem).image - batch.truth).square().mean().item()
        expected.append(10 * math.log10(2.0**2 / error))
    validate = MeanPsnr(lambda: batches, FixedRange(2.0))
    for _ in range(2):
        assert validate(model)["psnr"] == pytest.approx(sum(expected) / 4, rel=1e-12)


def test_nothing_to_compare_with_is_named(tiny: ModuleType) -> None:
    model = tiny.Tiny(tiny.TinySpec())
    batch = tiny.Source().of([5])._replace(truth=None)
    with pytest.raises(DataError, match="image-5"):
        MeanPsnr(lambda: [batch], FixedRange(1.0))(model)
    with pytest.raises(DataError, match="none"):
        MeanPsnr(list, FixedRange(1.0))(model)
