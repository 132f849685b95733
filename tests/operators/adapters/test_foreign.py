"""What the adapters share."""

from __future__ import annotations

import copy
import subprocess
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import odl
import pytest
import torch

import learnedrecon
from learnedrecon import errors
from learnedrecon.errors import DifferentiationError, MissingExtraError
from learnedrecon.operators.adapters.foreign import Foreign, kind_of, precision_of
from learnedrecon.operators.adapters.foreign_nonlinear import ForeignNonlinear
from learnedrecon.operators.adapters.odl import from_odl
from learnedrecon.operators.adapters.real_parts import (
    LinearRealParts,
    RealParts,
    is_complex_linear,
    over_one_field,
)
from learnedrecon.operators.adapters.scipy import from_scipy
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.space import Space
from learnedrecon.testing import dense_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.operators.adapters.checks import Theirs

CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "from_pylops": ("pylops", (None,)),
    "to_pylops": ("pylops", (FiniteDifference(Space((3,))),)),
    "from_odl": ("odl", (None,)),
    "to_odl": ("odl", (FiniteDifference(Space((3,))),)),
    "from_deepinv": ("deepinv", (None, (1, 3, 3))),
    "to_deepinv": ("deepinv", (FiniteDifference(Space((3,))),)),
    "from_astra": ("astra", ({}, {})),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_library_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, arguments = CALLS[name]

    def absent(module: str) -> Theirs:
        if module.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named '{module}'")
        return import_module(module)

    monkeypatch.setattr(errors, "import_module", absent)
    message = rf"Expected {library} to be installed(?s:.*)pip install 'learnedrecon\[{library}\]'"
    with pytest.raises(MissingExtraError, match=message):
        getattr(learnedrecon.operators, name)(*arguments)


def test_a_library_is_imported_when_it_is_used() -> None:
    code = """
import sys, learnedrecon
for name in sys.argv[1:]:
    getattr(learnedrecon.operators, name)
print({"pylops", "odl", "deepinv", "astra"} & set(sys.modules))
"""
    command = [sys.executable, "-I", "-W", "error", "-c", code, *CALLS]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert found.strip() == "set()"


@pytest.mark.parametrize(
    ("declared", "precision", "kind"),
    [
        (None, torch.float64, torch.float64),
        (np.float32, torch.float32, torch.float32),
        ("float64", torch.float64, torch.float64),
        (np.int64, torch.float64, torch.float64),
        (np.dtype(np.complex64), torch.float32, torch.complex64),
        (np.complex128, torch.float64, torch.complex128),
        (np.longdouble, torch.float64, torch.float64),
    ],
)
def test_types_of_numbers(declared: Theirs, precision: torch.dtype, kind: torch.dtype) -> None:
    assert precision_of(declared) == precision
    assert kind_of(declared) == kind


def test_copies_share_the_foreign_object() -> None:
    ours = from_scipy(np.eye(3))
    assert isinstance(ours, Foreign)
    other = copy.deepcopy(ours).to(torch.float32)
    assert isinstance(other, Foreign)
    assert other.kernel is ours.kernel
    assert (ours.domain.dtype, other.domain.dtype) == (torch.float64, torch.float32)


def test_an_empty_batch_stays_empty() -> None:
    ours = from_scipy(np.ones((2, 3)) * 1j, dtype=torch.float64)
    value = ours(torch.zeros(0, 4, 3))
    assert (value.shape, value.dtype) == ((0, 4, 2), torch.complex64)
    assert ours.adjoint(value).shape == (0, 4, 3)


def test_conjugate_views_are_taken_apart() -> None:
    z = torch.randn(3, dtype=torch.complex128)
    torch.testing.assert_close(from_scipy(1j * np.eye(3))(z.conj()), 1j * z.conj())
    torch.testing.assert_close(from_scipy(np.eye(3))(z.conj().imag), -z.imag)


@pytest.mark.slow
def test_compiled_code_steps_around_other_libraries() -> None:
    """Values and gradients are those of eager mode, and NumPy is not traced, which would warn."""
    linear = from_scipy(np.arange(6.0).reshape(2, 3))
    cube = from_odl(odl.PowerOperator(odl.rn(2), 3))

    def step(u: Tensor) -> Tensor:
        value, derivative = cube.linearise(linear(2 * u).tanh())
        return linear.adjoint(derivative.adjoint(value).relu()).sum()

    u = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", r"The \.grad attribute", UserWarning)  # within torch
        compiled = torch.compile(step, backend="eager")(u)
    torch.testing.assert_close(compiled, step(u), rtol=0, atol=0)
    (found,), (expected,) = (torch.autograd.grad(value, u) for value in (compiled, step(u)))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


class Square:
    """u ↦ u² in a precision of choice."""

    image_axes = 1

    def __init__(self, precision: torch.dtype) -> None:
        self.precision = precision

    def value(self, u: Tensor) -> Tensor:
        return u.to(self.precision).square().to(u.dtype)

    def push(self, u: Tensor, d: Tensor) -> Tensor:
        return (2 * u * d).to(u.dtype)

    def pull(self, u: Tensor, v: Tensor) -> Tensor:
        return (2 * u * v).to(u.dtype)


def second_derivative(precision: torch.dtype, u: Tensor) -> Tensor:
    space = Space((3,), torch.float64)
    operator = ForeignNonlinear(Square(precision), space, space)
    pulled = operator.linearise(u)[1].adjoint(torch.full_like(u, 0.7))
    (second,) = torch.autograd.grad(pulled, u, torch.full_like(u, -2.0), create_graph=True)
    return second


@pytest.mark.parametrize("size", [0.0, 1e-8, 1.0, 1e8])
def test_second_derivatives_are_central_differences(size: float) -> None:
    u = (size * torch.randn(2, 3, dtype=torch.float64)).requires_grad_()
    second = second_derivative(torch.float64, u)
    torch.testing.assert_close(second, torch.full_like(u, 2 * 0.7 * -2.0), rtol=1e-8, atol=0)


def test_second_derivatives_of_single_precision_and_third_ones_are_refused() -> None:
    u = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(DifferentiationError, match=r"float64(?s:.*)float32"):
        second_derivative(torch.float32, u)
    second = second_derivative(torch.float64, u)
    with pytest.raises(DifferentiationError, match="third"):
        second.sum().backward()


def test_one_point_serves_many_directions_and_many_points_one() -> None:
    space = Space((3,), torch.float64)
    operator = ForeignNonlinear(Square(torch.float64), space, space)
    u, d = torch.randn(3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(operator.linearise(u)[1](d), 2 * u * d)
    torch.testing.assert_close(operator.linearise(u)[1].adjoint(d), 2 * u * d)
    torch.testing.assert_close(operator.linearise(d)[1](u), 2 * u * d)
    torch.testing.assert_close(operator.linearise(d)[1].adjoint(u), 2 * u * d)


def test_real_parts_are_the_matrix_over_the_reals() -> None:
    matrix = np.arange(6).reshape(2, 3) + 1j * np.arange(6, 0, -1).reshape(2, 3)
    ours = from_scipy(matrix)
    torch.testing.assert_close(dense_matrix(LinearRealParts(ours)), dense_matrix(ours))
    assert LinearRealParts(ours).norm() == ours.norm()
    nonlinear = RealParts(ours)
    u = torch.randn(4, 2, 3, dtype=torch.float64)
    value, derivative = nonlinear.linearise(u)
    torch.testing.assert_close(value, nonlinear(u))
    torch.testing.assert_close(derivative(u), value)


def test_over_one_field() -> None:
    real, whole = from_scipy(np.eye(2)), from_scipy(1j * np.eye(2))
    half = from_scipy(1j * np.eye(2), dtype=torch.float64)
    assert over_one_field(real, "f", stacked=True) is real
    assert over_one_field(whole, "f", stacked=False) is whole
    assert isinstance(over_one_field(whole, "f", stacked=True), LinearRealParts)
    assert isinstance(over_one_field(half, "f", stacked=False), LinearRealParts)
    assert [is_complex_linear(o) for o in (real, whole, half, half.H)] == [True, True, False, False]
