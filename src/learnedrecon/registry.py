"""Registries of names for configurations and weights files, open to other classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Generic, TypeVar

from learnedrecon.errors import ConfigError, describe
from learnedrecon.recorded import Recorded, arguments_of, record, spec_type
from learnedrecon.specs import Entry

T = TypeVar("T")


class Registry(Mapping[str, Entry[T]], Generic[T]):
    """A mapping from names to entries, which :meth:`add` extends.

    Args:
        kind: Noun for the entries in messages, such as "model".
        base: Class that every entry must build.
        entries: Entries of the library itself.
    """

    def __init__(self, kind: str, base: type[T], entries: Mapping[str, Entry[T]]) -> None:
        self.kind = kind
        self.base = base
        self._entries = dict(entries)
        self._own = frozenset(entries)

    def __getitem__(self, name: str) -> Entry[T]:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: Entry[T]) -> None:
        """Registration of an entry under a name.

        A class that is defined again under its name, as in notebooks, replaces the earlier one.

        Raises:
            ConfigError: The name belongs to the library or to another class.
        """
        there = self._entries.get(name)
        if there is not None and (name in self._own or not _is_again(there, entry)):
            raise ConfigError(
                describe(
                    expected=f"a new name of a {self.kind}",
                    found=f"'{name}', which is {there.summary}",
                    fix="choose another name",
                )
            )
        self._entries[name] = entry

    @property
    def own(self) -> frozenset[str]:
        """The names of the library itself."""
        return self._own

    def outside(self, name: str) -> str | None:
        """The module that registered ``name``; None for names of the library."""
        if name in self._own or name not in self._entries:
            return None
        return self._entries[name].module

    def name_of(self, spec: object) -> str | None:
        """The name under which the class of ``spec`` is registered, or None."""
        return next((name for name, e in self.items() if e.spec is type(spec)), None)


def entry_of(cls: type[Any], summary: str | None = None) -> Entry[Any]:
    """The entry of a class whose constructor arguments are its record.

    Args:
        cls: Class with an annotated constructor, or a frozen dataclass, which is its own record.
        summary: One line for listings; the first line of the docstring unless given.
    """
    line = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
    text = line if summary is None else summary
    if is_dataclass(cls):
        return Entry(cls, itself, text, cls.__module__)
    kind = spec_type(record(cls))
    if issubclass(cls, Recorded):
        return Entry(kind, cls.from_spec, text, cls.__module__)
    return Entry(kind, lambda spec: cls(**arguments_of(spec)), text, cls.__module__)


def itself(value: T) -> T:
    """The identity, which builds a value that is its own record.

    Args:
        value: Value to return.
    """
    return value


def _is_again(there: Entry[Any], entry: Entry[Any]) -> bool:
    return (there.module, there.spec.__name__) == (entry.module, entry.spec.__name__)
