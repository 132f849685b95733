"""Names that configurations and weights files may use, open to classes from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Generic, TypeVar

from learnedrecon.errors import ConfigError, describe
from learnedrecon.recorded import Recorded, arguments_of, record, spec_type
from learnedrecon.specs import Entry

T = TypeVar("T")


class Registry(Mapping[str, Entry[T]], Generic[T]):
    """A mapping from names to entries, to which :meth:`add` adds.

    Args:
        kind: What it holds, for messages, such as "model".
        base: The class that every entry must build.
        entries: The entries that the library brings.
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
        """Makes ``name`` known.

        A class that is defined again under its name, as notebooks do, takes its place.

        Raises:
            ConfigError: The library or another class has the name.
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
        """The names that the library brings."""
        return self._own

    def outside(self, name: str) -> str | None:
        """The module that brought ``name`` in; None for what the library brings."""
        if name in self._own or name not in self._entries:
            return None
        return self._entries[name].module

    def name_of(self, spec: object) -> str | None:
        """The name under which the class of ``spec`` is registered, or None."""
        return next((name for name, e in self.items() if e.spec is type(spec)), None)


def entry_of(cls: type[Any], summary: str | None = None) -> Entry[Any]:
    """The entry of a class whose constructor arguments are its record.

    Args:
        cls: A class whose constructor arguments are annotated, or a frozen dataclass, which is its
            own record.
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
    """What builds a value that is its own record."""
    return value


def _is_again(there: Entry[Any], entry: Entry[Any]) -> bool:
    return (there.module, there.spec.__name__) == (entry.module, entry.spec.__name__)
