"""Every operator of the library, in both precisions, through the public conformance kit.

A new operator is one line in a file of ``cases``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from tests.operators.table import FILES, built, cases_of

from learnedrecon.errors import DtypeError
from learnedrecon.operators.linear import LinearOperator
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.testing import check_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from learnedrecon.operators.space import Space

CASES = {f"{path.stem}: {name}": case for path in FILES for name, case in cases_of(path).items()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", CASES)
def test_every_property(name: str, dtype: torch.dtype) -> None:
    operator, at = built(CASES[name], dtype)
    assert operator.domain.dtype.to_real() == dtype
    assert operator.codomain.dtype.to_real() == dtype
    check_operator(operator, at=at)


@pytest.fixture(scope="module")
def specs_in_the_table() -> set[type]:
    """The types of everything that the operators of the table, and their parts, hold."""
    operators = [built(CASES[name], torch.float64)[0] for name in CASES]
    modules = [module for operator in operators for module in operator.modules()]
    return {type(value) for module in modules for value in vars(module).values()}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_registered_operator_is_in_the_table(
    name: str, specs_in_the_table: set[type]
) -> None:
    spec = OPERATORS[name].spec
    assert spec in specs_in_the_table, f"add a case of a {spec.__name__} to tests/operators/cases"


def test_a_large_operator_is_checked_without_its_matrix() -> None:
    geometry = ParallelBeam((64, 64), AngleRange(20), FlatDetector(95))
    report = check_operator(RayTransform(geometry, torch.float64))
    assert any("entry by entry" in finding.name for finding in report.skipped)
    assert report.measured("T* is adjoint: single pixels and data") < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_tensors_without_values_have_shapes_or_are_refused(name: str) -> None:
    operator, _ = built(CASES[name], torch.float32)
    ways: list[tuple[Callable[[torch.Tensor], torch.Tensor], Space, Space]] = [
        (operator, operator.domain, operator.codomain)
    ]
    if isinstance(operator, LinearOperator):
        ways.append((operator.adjoint, operator.codomain, operator.domain))
    for apply, source, target in ways:
        x = torch.empty((1, 1, *source.shape), dtype=source.dtype, device="meta")
        try:
            shape = apply(x).shape
        except DtypeError as error:
            assert "device meta" in str(error)  # noqa: PT017 - a shape is as good
        else:
            assert shape[-target.ndim :] == target.shape
