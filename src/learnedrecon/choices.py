"""Choices: the texts that fields of a dataclass may hold, by their annotations."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from learnedrecon.errors import ConfigError, require


def require_choices(spec: object) -> None:
    """Check that every text is one of the choices of its field, those of ``Literal``.

    Files are validated before they become dataclasses; this is for what Python code writes. Texts
    of a field that has a tuple are checked one by one, and fields of free text are not.

    Args:
        spec: Dataclass whose annotations can be resolved at run time.

    Raises:
        ConfigError: A text is no choice of its field; the message has all of them.
    """
    kind: Any = type(spec)
    for name, choices in _choices(kind).items():
        value = getattr(spec, name)
        texts = value if isinstance(value, tuple) else (value,)
        wrong = [text for text in texts if isinstance(text, str) and text not in choices]
        require(
            not wrong,
            ConfigError,
            expected=f"'{name}' of {kind.__name__} to be one of {', '.join(choices)}",
            found=f"{name} = {value!r:.80}",
            fix=f"correct '{name}'",
        )


@lru_cache(maxsize=256)
def _choices(kind: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 - a dataclass
    """The texts that a field may hold, by the names of fields that have some."""
    hints = get_type_hints(kind)
    found = {field.name: _texts(hints[field.name]) for field in fields(kind)}
    return {name: texts for name, texts in found.items() if texts}


def _texts(hint: Any) -> tuple[str, ...]:  # noqa: ANN401 - an annotation
    if get_origin(hint) is Literal:
        return tuple(text for text in get_args(hint) if isinstance(text, str))
    return tuple(text for part in get_args(hint) for text in _texts(part))
