"""Registration of your own classes under names for configurations and weights files."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from learnedrecon.data.noise_registry import NOISES
from learnedrecon.data.registry import DATASETS
from learnedrecon.errors import ConfigError, describe
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.registry import Registry, entry_of
from learnedrecon.training.losses import LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from learnedrecon.specs import Plain

T = TypeVar("T")
Kind = Literal["model", "operator", "dataset", "noise", "loss"]
REGISTRIES: Final[dict[str, Registry[Any]]] = {
    each.kind: each for each in (MODELS, OPERATORS, DATASETS, NOISES, LOSSES)
}


def register(
    name: str, *, kind: Kind | None = None, summary: str | None = None
) -> Callable[[type[T]], type[T]]:
    """A class decorator that registers a class: ``@lr.register("my_prox")``.

    Its constructor arguments, with their annotations and defaults, become the keys of its section
    in YAML, and are recorded in weights files; a frozen dataclass is its own record. The command
    line imports the class if the configuration has ``imports: [my_module]``.

    Args:
        name: Name in files, such as "my_prox".
        kind: "model", "operator", "dataset", "noise" or "loss"; determined by the base class unless
            given, and "loss" for other classes.
        summary: One line for listings; the first line of the docstring unless given.

    Raises:
        ConfigError: The name is taken, or an argument has no annotation that can be resolved.
    """

    def decorate(cls: type[T]) -> type[T]:
        REGISTRIES[kind or _kind_of(cls)].add(name, entry_of(cls, summary))
        return cls

    return decorate


def _kind_of(cls: type[Any]) -> str:
    """The kind whose base class it derives from; a loss is any function."""
    kinds = (kind for kind, each in REGISTRIES.items() if kind != LOSSES.kind)
    return next((kind for kind in kinds if issubclass(cls, REGISTRIES[kind].base)), LOSSES.kind)


def import_modules(names: Plain) -> None:
    """Imports modules that register classes, from the working folder or the environment.

    Args:
        names: Names of the modules.

    Raises:
        ConfigError: The value is not a list of names, or a module cannot be imported.
    """
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            describe(
                expected="'imports' to be a list of modules, such as [my_package.schemes]",
                found=f"{names!r:.80}",
                fix="write one name for each module",
            )
        )
    with _working_folder():
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise ConfigError(
                    describe(
                        expected=f"the module '{name}' of 'imports' in the working folder or in the"
                        " environment",
                        found=str(error),
                        fix="run the command in the folder that holds it, or install it",
                    )
                ) from error


@contextmanager
def _working_folder() -> Iterator[None]:
    """Modules in the working folder can be imported inside."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)
