"""Specs: frozen dataclasses from which models and operators are built, to plain data and back.

A registry is a mapping from a name to an :class:`Entry`; the name travels with the values, so that
a checkpoint or a configuration says what it describes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from learnedrecon.errors import ConfigError, LearnedReconError, describe

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One line of a registry.

    Attributes:
        spec: the frozen dataclass that configures it.
        build: from the spec to the thing.
        summary: one line for listings.
        module: that the class comes from, for records of runs.
    """

    spec: type[Any]
    build: Callable[[Any], T]
    summary: str
    module: str = "learnedrecon"


Registry = Mapping[str, Entry[T]]


def to_plain(spec: Any) -> Any:  # noqa: ANN401
    """A spec as dictionaries, lists, numbers and strings, ready for JSON and YAML."""
    return TypeAdapter(type(spec)).dump_python(spec, mode="json")


def from_plain(kind: type[T], values: Any, where: str = "") -> T:  # noqa: ANN401
    """Builds a spec from plain data.

    Args:
        kind: the dataclass.
        values: what YAML or JSON gave.
        where: the path of keys that led here, for messages.

    Raises:
        ConfigError: an unknown key (with the nearest known one), a missing key, or a wrong value.
        LearnedReconError: what the dataclass itself raises, with the path in front.
    """
    if is_dataclass(kind):
        _refuse_unknown(_options(kind), values, where)
    adapter = TypeAdapter(kind, config=None if is_dataclass(kind) else ConfigDict(extra="forbid"))
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *_keys(first["loc"], values)]).strip(".") or kind.__name__
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, LearnedReconError):
            raise type(cause)(f"In '{place}': {cause}") from None
        if first["type"] == "missing":
            raise ConfigError(
                describe(expected=f"a value of '{place}'", found="none", fix=f"add '{place}'")
            ) from error
        raise ConfigError(
            describe(
                expected=f"a valid value of '{place}' ({first['msg']})",
                found=f"{first['input']!r:.80}",
                fix=f"correct '{place}'",
            )
        ) from error


def named_to_plain(registry: Registry[Any], spec: Any) -> dict[str, Any]:  # noqa: ANN401
    """A registered spec as plain data, with its ``name``."""
    for name, entry in registry.items():
        if entry.spec is type(spec):
            return {"name": name, **to_plain(spec)}
    raise unknown(
        "registered spec", type(spec).__name__, [e.spec.__name__ for e in registry.values()]
    )


def named_from_plain(registry: Registry[Any], values: Mapping[str, Any], where: str = "") -> Any:  # noqa: ANN401
    """The spec that ``values`` (with a ``name``) describe.

    Raises:
        ConfigError: no name, an unknown name (with the nearest known one), or wrong values.
    """
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(
            describe(
                expected=f"'{where}' with a 'name', one of {', '.join(sorted(registry))}",
                found=f"{values!r:.80}",
                fix=f"add '{where}.name'",
            )
        )
    name = values["name"]
    if name not in registry:
        raise unknown(f"'{where}.name'", str(name), registry)
    rest = {key: value for key, value in values.items() if key != "name"}
    return from_plain(registry[name].spec, rest, where)


def build(registry: Registry[T], spec: Any) -> T:  # noqa: ANN401
    """Builds what ``spec`` describes."""
    for entry in registry.values():
        if entry.spec is type(spec):
            return entry.build(spec)
    raise unknown(
        "registered spec", type(spec).__name__, [e.spec.__name__ for e in registry.values()]
    )


def unknown(what: str, found: str, known: Mapping[str, Any] | list[str]) -> ConfigError:
    """The error for a name that is not known, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(found, names, n=1)
    hint = f"did you mean '{near[0]}'? Else choose one of these" if near else "choose one of these"
    return ConfigError(
        describe(expected=f"{what}: one of {', '.join(names)}", found=f"'{found}'", fix=hint)
    )


def _keys(location: tuple[int | str, ...], values: Any) -> list[str]:  # noqa: ANN401
    """The keys of a location, without the members of unions that pydantic puts between them."""
    keys = []
    for number, part in enumerate(location):
        inside = isinstance(values, Mapping) and part in values
        inside |= isinstance(values, (list, tuple)) and isinstance(part, int)
        if inside:
            values = values[part]
        if inside or (number == len(location) - 1 and isinstance(values, Mapping)):
            keys.append(str(part))
    return keys


def _refuse_unknown(options: list[Any], value: Any, where: str) -> None:  # noqa: ANN401
    """Goes through nested dataclasses, so that every unknown key is named with its path."""
    if isinstance(value, Mapping):
        kind = _nearest_dataclass(options, value)
        if kind is not None:
            _refuse_unknown_keys(kind, value, where)
    elif isinstance(value, (list, tuple)):
        elements = [e for kind in options for hint in get_args(kind) for e in _options(hint)]
        for index, item in enumerate(value):
            _refuse_unknown(elements, item, f"{where}.{index}".strip("."))


def _refuse_unknown_keys(kind: type[Any], values: Mapping[str, Any], where: str) -> None:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    for key, value in values.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in names:
            raise unknown(f"a known key in place of '{path}'", str(key), names)
        _refuse_unknown(_options(hints[key]), value, path)


def _nearest_dataclass(options: list[Any], values: Mapping[str, Any]) -> type[Any] | None:
    """The dataclass among ``options`` that knows the most keys of ``values``."""
    kinds = [option for option in options if is_dataclass(option) and isinstance(option, type)]
    return max(
        kinds, key=lambda kind: len({f.name for f in fields(kind)} & set(values)), default=None
    )


def _options(hint: Any) -> list[Any]:  # noqa: ANN401
    """The members of a union, or the type itself."""
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
