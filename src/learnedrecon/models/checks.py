"""Checks of the constructor arguments of methods, and of operators in a call."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, GeometryError, describe
from learnedrecon.operators.linear import LinearOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from learnedrecon.problem import Problem


def require_counts(spec: object, least: Mapping[str, int]) -> None:
    """Check that fields of a spec are at least given numbers; None passes.

    Args:
        spec: Record of constructor arguments.
        least: Smallest value of each field, by name.

    Raises:
        ConfigError: A field is too small; the first one is named.
    """
    for name, bound in least.items():
        value = vars(spec)[name]
        if value is not None and not (isinstance(value, Integral) and int(value) >= bound):
            raise _out_of_range(spec, name, f"a whole number, at least {bound}")


def require_at_most(spec: object, most: Mapping[str, int]) -> None:
    """Check that fields of a spec are at most given numbers.

    Args:
        spec: Record of constructor arguments.
        most: Largest value of each field, by name.

    Raises:
        ConfigError: A field is too large; the first one is named.
    """
    for name, bound in most.items():
        if vars(spec)[name] > bound:
            raise _out_of_range(spec, name, f"a whole number, at most {bound}")


def require_positive(spec: object, *names: str, optional: bool = False) -> None:
    """Check that fields of a spec are positive and finite.

    Args:
        spec: Record of constructor arguments.
        names: Names of the fields.
        optional: True if None is also accepted.

    Raises:
        ConfigError: A field is not positive and finite; the first one is named.
    """
    for name in names:
        value = vars(spec)[name]
        if optional and value is None:
            continue
        if not (isinstance(value, Real) and float(value) > 0 and math.isfinite(value)):
            raise _out_of_range(spec, name, "a number above 0 and finite")


def require_below_one(spec: object, *names: str) -> None:
    """Check that fields of a spec are in (0, 1).

    Args:
        spec: Record of constructor arguments.
        names: Names of the fields.

    Raises:
        ConfigError: A field is outside (0, 1); the first one is named.
    """
    for name in names:
        value = vars(spec)[name]
        if not (isinstance(value, Real) and 0 < float(value) < 1):
            raise _out_of_range(spec, name, "a number between 0 and 1")


def require_choice(spec: object, name: str, choices: Sequence[str]) -> None:
    """Check that a field of a spec is one of given choices.

    Args:
        spec: Record of constructor arguments.
        name: Name of the field.
        choices: Accepted values.

    Raises:
        ConfigError: The field has another value.
    """
    if vars(spec)[name] not in choices:
        raise _out_of_range(spec, name, f"one of {', '.join(choices)}")


def _out_of_range(spec: object, name: str, rule: str) -> ConfigError:
    return ConfigError(
        describe(
            expected=f"'{name}' of {type(spec).__name__} to be {rule}",
            found=f"{name} = {vars(spec)[name]!r}",
            fix=f"correct '{name}'",
        )
    )


def linear_of(problem: Problem, purpose: str = "", *, fix: str) -> LinearOperator:
    """The operator of a problem, which has to be linear.

    Args:
        problem: Problem of a call.
        purpose: Words after "a linear operator", such as " for total variation by PDHG".
        fix: Advice for a nonlinear one.

    Raises:
        GeometryError: The operator is nonlinear.
    """
    operator = problem.operator
    if not isinstance(operator, LinearOperator):
        raise GeometryError(
            describe(expected=f"a linear operator{purpose}", found=type(operator).__name__, fix=fix)
        )
    return operator
