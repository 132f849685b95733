"""Recording of constructor arguments as frozen dataclasses, from which objects are built again."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, get_type_hints

from pydantic import ConfigDict

from learnedrecon.errors import ConfigError, describe
from learnedrecon.specs import from_plain

Record: TypeAlias = Any
"""A frozen dataclass whose fields are the arguments of a constructor."""

T = TypeVar("T")
_MISSING = inspect.Parameter.empty
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Recorded:
    """Base class whose instances record their constructor arguments.

    ``thing.spec`` is a frozen dataclass with a field for every argument of the constructor;
    :func:`spec_type` makes its class from the signature, so that each default is written once.
    Arguments are validated by their annotations (pydantic), and then by :meth:`check`. Annotations
    must be resolvable at run time.

    Subclasses whose arguments cannot be written to a file are declared as ``class Name(Base,
    recorded=False)``.

    Attributes:
        spec: Constructor arguments as a frozen dataclass.
        recorded: False for classes whose arguments are not recorded.
    """

    spec: Any = None
    recorded: ClassVar[bool] = False

    def __init_subclass__(cls, *, recorded: bool = True) -> None:
        super().__init_subclass__()
        cls.recorded = recorded
        if "__init__" in cls.__dict__:
            setattr(cls, "__init__", _recording(cls.__dict__["__init__"]))  # noqa: B010 - mypy refuses the assignment

    @staticmethod
    def check(spec: Record) -> None:
        """Check of the arguments, called before anything is built.

        Args:
            spec: Record of the arguments.

        Raises:
            ConfigError: An argument is out of range.
        """

    @classmethod
    def from_spec(cls, spec: Record) -> Self:
        """A new instance with the arguments in ``spec``.

        Raises:
            ConfigError: ``spec`` is not the record of this class.
        """
        kind = spec_type(cls)
        if not isinstance(spec, kind):
            raise ConfigError(
                describe(
                    expected=f"a {kind.__name__} as the spec",
                    found=f"{spec!r:.80} of type {type(spec).__name__}",
                    fix=f"write {cls.__name__}(...) with the arguments themselves",
                )
            )
        return cls(**arguments_of(spec))


def record(cls: type[T]) -> type[T]:
    """A class decorator that records constructor arguments, as :class:`Recorded` does.

    Args:
        cls: Class that is not derived from :class:`Recorded`, such as an operator or a dataset;
            changed in place.
    """
    if not issubclass(cls, Recorded) and "_spec_type" not in cls.__dict__:
        spec_type(cls)
        setattr(cls, "recorded", True)  # noqa: B010 - mypy refuses the assignment
        setattr(cls, "__init__", _recording(cls.__init__))  # noqa: B010 - mypy refuses the assignment
    return cls


def arguments_of(spec: Record) -> dict[str, Any]:
    """The fields of a record by name, unchanged.

    Args:
        spec: Record of constructor arguments.
    """
    return {each.name: vars(spec)[each.name] for each in fields(spec)}


def class_of(kind: type[Any]) -> type[Any]:
    """The class whose arguments a record of type ``kind`` contains; otherwise ``kind`` itself.

    Args:
        kind: Type of a record, or any other type.
    """
    return kind._of if issubclass(kind, _Record) else kind  # noqa: SLF001 - of this module


def spec_type(cls: type[Any]) -> type[Any]:
    """The frozen dataclass of a class's constructor arguments, created once.

    Args:
        cls: Class with an annotated constructor.

    Raises:
        ConfigError: An argument has no annotation, or one that cannot be resolved at run time.
    """
    if "_spec_type" not in cls.__dict__:
        cls._spec_type = _make(cls)
    kind: type[Any] = cls.__dict__["_spec_type"]
    return kind


def _make(cls: type[Any]) -> type[Any]:
    initialiser = inspect.unwrap(cls.__init__)
    try:
        hints = get_type_hints(initialiser, include_extras=True)
    except NameError as error:
        raise _unreadable(cls, str(error), "import its types outside of TYPE_CHECKING") from error
    parameters = list(inspect.signature(initialiser).parameters.values())[1:]
    entries: list[Any] = []
    for each in sorted(parameters, key=lambda p: p.default is not _MISSING):
        if each.kind in _MANY:
            raise _unreadable(cls, f"'{each}'", "give every argument a name")
        if each.name not in hints:
            raise _unreadable(cls, f"'{each.name}' without annotation", "annotate the argument")
        default = {} if each.default is _MISSING else {"default": each.default}
        entries.append((each.name, hints[each.name], field(**default)))
    return make_dataclass(
        f"{cls.__name__}Spec",
        entries,
        bases=(_Record,),
        namespace={
            "__doc__": f"The arguments of {cls.__name__}.",
            "__pydantic_config__": ConfigDict(arbitrary_types_allowed=True, extra="forbid"),
            "_of": cls,
            "__module__": cls.__module__,
        },
        frozen=True,
    )


@dataclass(frozen=True)
class _Record:
    """Base class of all records: their check, and pickling by class and values."""

    _of: ClassVar[type[Any]]

    def __post_init__(self) -> None:
        check = getattr(self._of, "check", None)
        if check is not None:
            check(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._of, arguments_of(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _restored(cls: type[Any], values: dict[str, Any]) -> Record:
    return spec_type(cls)(**values)


def _recording(initialiser: Any) -> Any:  # noqa: ANN401 - a function, as decorators take it
    signature = inspect.signature(initialiser)

    @functools.wraps(initialiser)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever the function takes
        if "spec" not in self.__dict__ and type(self).recorded:
            bound = signature.bind(self, *args, **kwargs)
            values = dict(list(bound.arguments.items())[1:])
            spec = from_plain(spec_type(type(self)), values, "")
            object.__setattr__(self, "spec", spec)
            args, kwargs = (), arguments_of(spec)
        initialiser(self, *args, **kwargs)

    return recorded


def _unreadable(cls: type[Any], found: str, fix: str) -> ConfigError:
    return ConfigError(
        describe(
            expected=f"annotated arguments of {cls.__name__}, which files record",
            found=found,
            fix=f"{fix}; or derive it with recorded=False, so that no file contains it",
        )
    )
