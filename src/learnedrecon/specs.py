"""Specs: frozen dataclasses that describe models and operators, as plain data and back.

A registry is a mapping from a name to an :class:`Entry`; the name is stored with the values, so
that a checkpoint or a configuration is self-describing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import (
    Any,
    Final,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from learnedrecon.errors import ConfigError, LearnedReconError, describe, placed, shown

T = TypeVar("T")
Plain: TypeAlias = Any
"""Plain data: what YAML and JSON hold, right or wrong."""

_DEEPEST: Final = 40
_MOST: Final = 1_000_000
_LONG_KEY: Final = 60


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One entry of a registry.

    Attributes:
        spec: Frozen dataclass of the configuration.
        build: Function from the spec to the object.
        summary: One line for listings.
        module: Module of the class, for records of runs.
    """

    spec: type[Any]
    build: Callable[[Any], T]
    summary: str
    module: str = "learnedrecon"


Registry = Mapping[str, Entry[T]]
_ADAPTERS: WeakKeyDictionary[type[Any], TypeAdapter[Any]] = WeakKeyDictionary()
_HINTS: WeakKeyDictionary[type[Any], dict[str, Any]] = WeakKeyDictionary()


def to_plain(spec: Any) -> Any:  # noqa: ANN401 - a dataclass
    """A spec as dictionaries, lists, numbers and strings, ready for JSON and YAML.

    Args:
        spec: Frozen dataclass.

    Raises:
        LearnedReconError: A field cannot be written to a file.
    """
    try:
        return _adapter(type(spec)).dump_python(spec, mode="json")
    except PydanticSerializationError as error:
        if isinstance(error.__cause__, LearnedReconError):
            raise error.__cause__ from None
        raise


def from_plain(kind: type[T], values: Plain, where: str = "") -> T:
    """A spec from plain data.

    Args:
        kind: Dataclass of the spec.
        values: Values read from YAML or JSON.
        where: Path of keys to these values, for messages.

    Raises:
        ConfigError: A key is unknown (the nearest known one is named) or missing, or a value is
            wrong.
        LearnedReconError: The dataclass itself refuses a value; the path precedes its message.
    """
    refuse_deep(values, where)
    if is_dataclass(kind):
        _refuse_unknown(_options(kind), values, where)
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        raise _explained(error, kind, values, where) from error
    except LearnedReconError as error:
        raise placed(error, where or kind.__name__) from None
    except Exception as error:  # whatever a dataclass makes of impossible numbers
        raise ConfigError(
            describe(
                expected=f"possible values of '{where or kind.__name__}'",
                found=f"{shown(values)} ({error or type(error).__name__})",
                fix=f"correct '{where or kind.__name__}'",
            )
        ) from error


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        config = None if is_dataclass(kind) else ConfigDict(extra="forbid")
        _ADAPTERS[kind] = TypeAdapter(kind, config=config)
    return _ADAPTERS[kind]


def _explained(
    error: ValidationError,
    kind: type[Any],
    values: Plain,
    where: str,
) -> LearnedReconError:
    """The first thing that pydantic found, in three parts."""
    first = error.errors(include_url=False)[0]
    place = ".".join([where, *_keys(first["loc"], values)]).strip(".") or kind.__name__
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, LearnedReconError):
        return placed(cause, place)
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        expected = f"a value number {first['loc'][-1] + 1} in the list that ends at '{place}'"
        found = f"a list that is too short, {shown(first['input'])}"
        return ConfigError(describe(expected=expected, found=found, fix="write the whole list"))
    if first["type"] == "missing":
        return ConfigError(
            describe(expected=f"a value of '{place}'", found="none", fix=f"add '{place}'")
        )
    return ConfigError(
        describe(
            expected=f"a valid value of '{place}' ({first['msg']})",
            found=shown(first["input"]),
            fix=f"correct '{place}'",
        )
    )


def refuse_deep(values: Plain, where: str = "") -> None:
    """Check that plain data are not larger or deeper than any spec, and do not contain themselves.

    Args:
        values: Plain data.
        where: Path of keys to these values, for messages.

    Raises:
        ConfigError: There are more than forty levels, or more than a million values.
    """
    level, number = [values], 0
    for _ in range(_DEEPEST):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                inside.extend(value.values())
            elif isinstance(value, (list, tuple)):
                inside.extend(value)
            if number + len(inside) > _MOST:
                break
        number += len(inside)
        if not inside or number > _MOST:
            break
        level = inside
    else:
        number = _MOST + 1
    if number > _MOST:
        raise ConfigError(
            describe(
                expected=f"'{where or 'values'}' of at most {_DEEPEST} levels and {_MOST} values",
                found=f"more, {shown(values)}",
                fix="write it without lists in lists and repeated aliases",
            )
        )


def named_to_plain(registry: Registry[Any], spec: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    """A registered spec as plain data, with its ``name``.

    Args:
        registry: Registry of the spec's class.
        spec: Spec of a registered class.
    """
    for name, entry in registry.items():
        if entry.spec is type(spec):
            return {"name": name, **to_plain(spec)}
    raise unknown(
        "registered spec", type(spec).__name__, [e.spec.__name__ for e in registry.values()]
    )


def named_from_plain(registry: Registry[Any], values: Mapping[str, Any], where: str = "") -> Any:  # noqa: ANN401 - a spec
    """The spec that plain data with a ``name`` describe.

    Args:
        registry: Registry of the names.
        values: Plain data with a ``name``.
        where: Path of keys to these values, for messages.

    Raises:
        ConfigError: The name is missing or unknown (the nearest known one is named), or a value is
            wrong.
    """
    refuse_deep(values, where)
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(
            describe(
                expected=f"'{where}' with a 'name', one of {', '.join(sorted(registry))}",
                found=shown(values),
                fix=f"add '{where}.name'",
            )
        )
    name = values["name"]
    if not isinstance(name, str) or name not in registry:
        raise unknown(f"'{where}.name'", name, registry)
    rest = {key: value for key, value in values.items() if key != "name"}
    return from_plain(registry[name].spec, rest, where)


def build(registry: Registry[T], spec: Any) -> T:  # noqa: ANN401 - a dataclass
    """The object that a spec describes.

    Args:
        registry: Registry of the spec's class.
        spec: Spec of a registered class.
    """
    for entry in registry.values():
        if entry.spec is type(spec):
            return entry.build(spec)
    raise unknown(
        "registered spec", type(spec).__name__, [e.spec.__name__ for e in registry.values()]
    )


def unknown(what: str, found: object, known: Mapping[str, Any] | list[str]) -> ConfigError:
    """The error for an unknown name, with the nearest known one.

    Args:
        what: Noun for the names in the message.
        found: Unknown name.
        known: Known names.
    """
    names = sorted(known)
    near = difflib.get_close_matches(found[:80], names, n=1) if isinstance(found, str) else []
    hint = f"did you mean '{near[0]}'? Else choose one of these" if near else "choose one of these"
    return ConfigError(
        describe(expected=f"{what}: one of {', '.join(names)}", found=shown(found), fix=hint)
    )


def _keys(location: tuple[int | str, ...], values: Plain) -> list[str]:
    """The keys of a location, without the members of unions that pydantic puts between them."""
    keys = []
    for number, part in enumerate(location):
        inside = isinstance(values, Mapping) and part in values
        if isinstance(values, (list, tuple)) and isinstance(part, int):
            inside = part < len(values)
        if inside:
            values = values[part]
        if inside or (number == len(location) - 1 and isinstance(values, Mapping)):
            keys.append(str(part))
    return keys


def _refuse_unknown(options: list[Any], value: Plain, where: str) -> None:
    """Goes through nested dataclasses, so that every unknown key is named with its path.

    Truth values are refused in place of numbers, which Python takes them for.
    """
    if isinstance(value, Mapping):
        kind = _nearest_dataclass(options, value)
        if kind is not None:
            _refuse_unknown_keys(kind, value, where)
    elif isinstance(value, (list, tuple)):
        elements = [e for kind in options for hint in get_args(kind) for e in _options(hint)]
        for index, item in enumerate(value):
            _refuse_unknown(elements, item, f"{where}.{index}".strip("."))
    elif isinstance(value, bool) and bool not in options and (int in options or float in options):
        raise ConfigError(
            describe(
                expected=f"a number as '{where}'", found=shown(value), fix=f"correct '{where}'"
            )
        )


def _refuse_unknown_keys(kind: type[Any], values: Mapping[str, Any], where: str) -> None:
    hints = _hints(kind)
    names = [field.name for field in fields(kind)]
    for key, value in values.items():
        name = key if isinstance(key, str) and len(key) < _LONG_KEY else shown(key)
        path = f"{where}.{name}" if where else name
        if key not in names:
            raise unknown(f"a known key in place of '{path}'", key, names)
        _refuse_unknown(_options(hints[key]), value, path)


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]


def _nearest_dataclass(options: list[Any], values: Mapping[str, Any]) -> type[Any] | None:
    """The dataclass among ``options`` that knows the most keys of ``values``."""
    kinds = [option for option in options if is_dataclass(option) and isinstance(option, type)]
    return max(
        kinds, key=lambda kind: len({f.name for f in fields(kind)} & set(values)), default=None
    )


def _options(hint: Any) -> list[Any]:  # noqa: ANN401 - a type or a union of types
    """The members of a union, or the type itself."""
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
