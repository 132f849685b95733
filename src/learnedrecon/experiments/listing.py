"""Lists of registered models, operators, datasets, losses and noises, with their arguments."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from learnedrecon.config.extensions import REGISTRIES
from learnedrecon.specs import unknown

if TYPE_CHECKING:
    from learnedrecon.specs import Entry


@dataclass(frozen=True)
class Listed:
    """One registered class.

    Attributes:
        name: Name in configurations.
        summary: Description in one line.
        arguments: Arguments and their defaults as text; "required" for those without a default.
        module: Module of the class.
    """

    name: str
    summary: str
    arguments: dict[str, str]
    module: str


def registered(kind: str) -> tuple[Listed, ...]:
    """All classes of one kind that configurations can name, by name.

    Args:
        kind: "models", "operators", "datasets", "losses" or "noises".

    Raises:
        ConfigError: The kind is unknown.
    """
    kinds = {f"{name}{'es' if name.endswith('s') else 's'}": r for name, r in REGISTRIES.items()}
    if kind not in kinds:
        raise unknown("what to list", kind, kinds)
    return tuple(_listed(name, entry) for name, entry in sorted(kinds[kind].items()))


def _listed(name: str, entry: Entry[Any]) -> Listed:
    arguments = {each.name: _default(each) for each in fields(entry.spec)}
    return Listed(name, entry.summary, arguments, entry.module)


def _default(each: Any) -> str:  # noqa: ANN401 - a field of a dataclass
    if each.default is not MISSING:
        return f"{each.default!r:.60}"
    if each.default_factory is not MISSING:
        return f"{each.default_factory()!r:.60}"
    return "required"
