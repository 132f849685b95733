"""Coil images of zero-filled data, and operators that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.helpers import Dense, normal

from learnedrecon.errors import GeometryError
from learnedrecon.operators.mri.cartesian import CartesianMRI
from learnedrecon.operators.mri.cartesian_spec import Cartesian
from learnedrecon.solvers.coils.coil_data import zero_filled_coils
from learnedrecon.solvers.coils.coil_maps import coil_images

if TYPE_CHECKING:
    from learnedrecon.operators.linear import LinearOperator

SHAPE = (8, 6)


def test_every_coil_is_the_inverse_transform_of_its_data() -> None:
    maps = normal(3, *SHAPE, dtype=torch.complex128)
    operator = CartesianMRI(Cartesian(SHAPE, coils=3), None, maps, torch.complex128)
    data = normal(2, 1, 3, *SHAPE, dtype=torch.complex128)
    torch.testing.assert_close(zero_filled_coils(operator, data), coil_images(data))


@pytest.mark.parametrize(
    "operator",
    [CartesianMRI(Cartesian(SHAPE), dtype=torch.complex128), Dense(normal(4, 3))],
    ids=["one coil", "a matrix"],
)
def test_what_has_no_coils_is_refused(operator: LinearOperator) -> None:
    with pytest.raises(GeometryError, match="receive coils"):
        zero_filled_coils(operator, torch.zeros(1, 1, *operator.codomain.shape))
