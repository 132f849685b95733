from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from learnedrecon.errors import FileFormatError
from learnedrecon.generators import (
    GeneratorState,
    seed_generators,
    undisturbed_generators,
)


def draw() -> list[float]:
    """Odd numbers of normals, so that halves of pairs are kept inside the generators."""
    return [
        *torch.randn(3).tolist(),
        np.random.standard_normal(),  # noqa: NPY002 (the global generator is what is tested)
        random.gauss(0, 1),
        np.random.random(),  # noqa: NPY002 - likewise
        random.random(),
    ]


@pytest.mark.parametrize("draws_before", [0, 1, 2])
def test_tensors_bring_back_what_would_have_been_drawn(draws_before: int) -> None:
    seed_generators(4)
    for _ in range(draws_before):
        draw()
    tensors = GeneratorState.capture().to_tensors()
    expected = [draw() for _ in range(700)]
    GeneratorState.from_tensors(tensors).restore()
    assert [draw() for _ in range(700)] == expected


def test_a_seed_seeds_all() -> None:
    seed_generators(1)
    first = draw()
    seed_generators(1)
    assert draw() == first
    seed_generators(2)
    assert not set(draw()) & set(first)


def test_undisturbed() -> None:
    seed_generators(3)
    expected = draw()
    seed_generators(3)
    with undisturbed_generators():
        draw()
        seed_generators(9)
    assert draw() == expected
    seed_generators(3)
    with pytest.raises(ValueError, match="empty"), undisturbed_generators():
        max(draw()[:0])
    assert draw() == expected


def test_a_missing_generator_is_named() -> None:
    tensors = GeneratorState.capture().to_tensors()
    del tensors["python"]
    with pytest.raises(FileFormatError, match="none of python"):
        GeneratorState.from_tensors(tensors)
