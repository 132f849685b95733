"""Parameter groups with their own weights of the parts of a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that minimise one weighted sum of the parts of a loss.

    Attributes:
        weights: Weight of every part, by its name; 0 for parts without an entry. None for the sum
            of all parts.
        parameters: Trained tensors of the group.
    """

    weights: Mapping[str, float] | None
    parameters: Sequence[Tensor]

    def objective(self, parts: Mapping[str, Tensor]) -> Tensor | None:
        """The objective Σ_p w_p L_p of the group; None where every weight is 0.

        Args:
            parts: Parts L_p by name, of one shape.
        """
        named = dict.fromkeys(parts, 1.0) if self.weights is None else self.weights
        terms = [weight * parts[name] for name, weight in named.items() if weight != 0]
        return sum(terms[1:], terms[0]) if terms else None


def parameter_groups(
    groups: Mapping[str, Mapping[str, float]] | None, parameters: Mapping[str, Tensor]
) -> list[ParameterGroup]:
    """The groups of ``parameters`` by the names of submodules.

    Args:
        groups: Weights of the parts of the loss, by the name of a submodule or parameter of the
            model; None for one group, which minimises the sum of the parts.
        parameters: Trained tensors by name.

    Raises:
        ConfigError: A group has no parameters, or a parameter is in no group or in several.
    """
    if groups is None:
        return [ParameterGroup(None, list(parameters.values()))]
    members = members_of(groups, parameters)
    missing = sorted(set(parameters) - {name for names in members.values() for name in names})
    if missing:
        raise ConfigError(
            describe(
                expected="every trained parameter in a group of 'groups'",
                found=f"{_some(missing)} in none of {_some(groups)}",
                fix=f"add a group such as '{missing[0].split('.')[0]}'",
            )
        )
    return [
        ParameterGroup(dict(weights), [parameters[name] for name in members[group]])
        for group, weights in groups.items()
    ]


def members_of(groups: Iterable[str], parameters: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The names of the parameters of every group.

    Args:
        groups: Names of submodules or parameters.
        parameters: Trained tensors by name.

    Raises:
        ConfigError: A group has no parameters, or a parameter is in several groups.
    """
    members = {
        group: [name for name in parameters if name == group or name.startswith(f"{group}.")]
        for group in groups
    }
    seen: dict[str, str] = {}
    for group, names in members.items():
        if not names:
            raise ConfigError(
                describe(
                    expected=f"trained parameters of the model in the group '{group}'",
                    found=f"none among {_some(sorted({n.split('.')[0] for n in parameters}))}",
                    fix="name a submodule of the model",
                )
            )
        for name in names:
            if name in seen:
                raise ConfigError(
                    describe(
                        expected=f"the parameter '{name}' in one group",
                        found=f"it in '{seen[name]}' and '{group}'",
                        fix="use groups none of which is inside of another",
                    )
                )
            seen[name] = group
    return members


def require_parts(groups: Mapping[str, Mapping[str, float]], parts: Iterable[str]) -> None:
    """Check that the weights of groups fit the parts of a loss.

    Args:
        groups: Weights of the parts, by group.
        parts: Names of the parts.

    Raises:
        ConfigError: A weight belongs to no part, or a part has no weight in any group (0 is a
            weight).
    """
    known = set(parts)
    named = {name for weights in groups.values() for name in weights}
    if known != named:
        found = [f"no weight of {_some(sorted(known - named))}"] if known - named else []
        found += [f"weights of {_some(sorted(named - known))}"] if named - known else []
        raise ConfigError(
            describe(
                expected=f"weights in 'groups' of the parts of the loss, {_some(sorted(known))}",
                found=" and ".join(found) if known != {""} else "a loss without named parts",
                fix="name every part in at least one group; a part of weight 0 is only logged",
            )
        )


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
