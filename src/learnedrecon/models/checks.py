"""What specs of methods ask of their fields, so that a wrong one is named before anything runs."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def require_counts(spec: object, least: Mapping[str, int]) -> None:
    """Refuses fields of ``spec`` that are below the number given for them; None is let through.

    Raises:
        ConfigError: the first such field.
    """
    for name, bound in least.items():
        value = vars(spec)[name]
        if value is not None and not (isinstance(value, Integral) and int(value) >= bound):
            raise _out_of_range(spec, name, f"a whole number, at least {bound}")


def require_positive(spec: object, *names: str, optional: bool = False) -> None:
    """Refuses fields of ``spec`` that are not positive and finite.

    Args:
        spec: Record of a method.
        names: Names of the fields.
        optional: Whether None is right too.

    Raises:
        ConfigError: the first such field.
    """
    for name in names:
        value = vars(spec)[name]
        if optional and value is None:
            continue
        if not (isinstance(value, Real) and float(value) > 0 and math.isfinite(value)):
            raise _out_of_range(spec, name, "a number above 0 and finite")


def require_below_one(spec: object, *names: str) -> None:
    """Refuses fields of ``spec`` that are not in (0, 1).

    Raises:
        ConfigError: the first such field.
    """
    for name in names:
        value = vars(spec)[name]
        if not (isinstance(value, Real) and 0 < float(value) < 1):
            raise _out_of_range(spec, name, "a number between 0 and 1")


def require_choice(spec: object, name: str, choices: Sequence[str]) -> None:
    """Refuses a field of ``spec`` that is none of ``choices``.

    Raises:
        ConfigError: it is something else.
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
