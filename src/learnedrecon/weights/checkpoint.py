"""Weights files that describe the model and the operator of the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, get_args

from learnedrecon.errors import ConfigError, FileFormatError, LearnedReconError, describe
from learnedrecon.files import reading, unreadable
from learnedrecon.generators import undisturbed_generators
from learnedrecon.limits import in_bytes
from learnedrecon.models.building import MemoryBudget
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain, unknown
from learnedrecon.weights.tensorfile import (
    read_tensors,
    require_finite,
    require_match,
    with_prefix,
    without_prefix,
    write_tensors,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from learnedrecon.operators.base import Operator
    from learnedrecon.recorded import Record
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.specs import Registry

FidelityName = Literal["least_squares", "kullback_leibler"]

_BUILDABLE: Final = "a checkpoint of a model and an operator that can be built"

_FREE: Final = 1 << 26
_FREE_TENSORS: Final = 1000

MODEL = "model."
AVERAGE = "average."


@dataclass(frozen=True)
class Blueprint:
    """The description, as plain data, from which a model and its operator are built again.

    Attributes:
        model: Registered model spec with its ``name``.
        operator: Spec of the operator of the training, or None where it has none.
        fidelity: Name of the data term D of the training.
        modules: Module of the model or operator by its name, for classes outside of the library.
    """

    model: dict[str, Any]
    operator: dict[str, Any] | None = None
    fidelity: FidelityName = "least_squares"
    modules: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model_spec: Record,
        operator_spec: Record = None,
        *,
        models: Registry[Reconstructor] = MODELS,
        operators: Registry[Operator] = OPERATORS,
        fidelity: FidelityName = "least_squares",
    ) -> Self:
        """A blueprint from specs.

        Raises:
            ConfigError: A spec is not registered.
        """
        operator = None if operator_spec is None else named_to_plain(operators, operator_spec)
        model = named_to_plain(models, model_spec)
        modules = outside(models, model) | outside(operators, operator)
        return cls(model, operator, fidelity, modules)


class Loaded(NamedTuple):
    """A loaded model with its operator.

    Attributes:
        model: Model in evaluation mode, on the CPU; ``model.spec`` has its arguments.
        operator: Operator of the training, or None if it was saved without.
        extra: Additional saved values, such as the step and the score.
        fidelity: Name of the data term of the training; least squares for files of an earlier
            version without it.
    """

    model: Reconstructor
    operator: Operator | None
    extra: dict[str, Any]
    fidelity: FidelityName = "least_squares"


def save_weights(
    path: str | os.PathLike[str],
    model: Reconstructor,
    *,
    operator: Operator | None = None,
    fidelity: FidelityName = "least_squares",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Atomic write of the weights of a model with everything that rebuilds it and its operator.

    :func:`load_weights` needs only this file.

    Args:
        path: Path of the file, by convention ``*.safetensors``.
        model: Model of a registered class.
        operator: T of the training, of a registered class.
        fidelity: Name of the data term of the training.
        extra: Additional values for JSON.

    Raises:
        FileFormatError: The folder cannot be written.
        ConfigError: The class of the model or of the operator is not registered.
    """
    spec = None if operator is None else _spec_of(operator)
    write_weights(path, model, Blueprint.of(_spec_of(model), spec, fidelity=fidelity), extra)


def write_weights(
    path: str | os.PathLike[str],
    model: nn.Module,
    blueprint: Blueprint,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Atomic write of weights with a given blueprint, such as those of a training.

    Args:
        path: Path of the file.
        model: Module whose ``state_dict`` is written.
        blueprint: Description from which :func:`load_weights` builds the model.
        extra: Additional values for JSON.

    Raises:
        FileFormatError: The folder cannot be written.
    """
    content = {**asdict(blueprint), "extra": dict(extra or {})}
    write_tensors(path, with_prefix(MODEL, model.state_dict()), content)


def _spec_of(thing: Reconstructor | Operator) -> Record:
    if thing.spec is None:
        raise ConfigError(
            describe(
                expected="a model or operator with a record of its arguments, its 'spec'",
                found=f"{type(thing).__name__} without one",
                fix="build it from its class, and register the class with learnedrecon.register",
            )
        )
    return thing.spec


def load_weights(
    path: str | os.PathLike[str],
    *,
    models: Registry[Reconstructor] = MODELS,
    operators: Registry[Operator] = OPERATORS,
) -> Loaded:
    """The model and the operator of a weights file, with the weights.

    The file is one from :func:`save_weights`, or the ``last`` of a run: the moving average of the
    weights, if there is one. Only code of the two registries is executed, and the global random
    generators do not change.

    Args:
        path: Path of the file, or of a run folder for its best weights (see :func:`weights_file`).
        models: Registry of the model's name.
        operators: Registry of the operator's name.

    Raises:
        FileFormatError: The file is missing, broken, newer than this package, a pickle, or of an
            unknown model or operator; its tensors do not fit the model, or are not finite.
    """
    path = weights_file(path)
    tensors, content = read_tensors(path)
    _require_imported(path, content, (models, operators))
    weights = without_prefix(MODEL, tensors) | without_prefix(AVERAGE, tensors)
    try:
        fidelity = _fidelity_of(content)
        model_spec = named_from_plain(models, content.get("model"), "model")  # type: ignore[arg-type]  # it refuses what is no mapping
        operator_spec = None
        if content.get("operator") is not None:
            operator_spec = named_from_plain(operators, content["operator"], "operator")
        with undisturbed_generators(), reading(path, _BUILDABLE, corrupt="one that is not"):
            with MemoryBudget(_budget_of(path, len(weights))):
                model = build(models, model_spec)
            operator = None if operator_spec is None else build(operators, operator_spec)
    except FileFormatError:
        raise
    except LearnedReconError as error:
        raise FileFormatError(
            describe(
                expected=f"{path} to describe a model and an operator that are registered",
                found=str(error),
                fix="load it with the version of learnedrecon (and plugins) that wrote it",
            )
        ) from error
    load_state(path, model, weights)
    return Loaded(model.eval(), operator, _extra(content), fidelity)


def _budget_of(path: Path, tensors: int) -> Callable[[int, int], None]:
    """Bound of what the construction of a model may take, from the size of its file of weights.

    A file of weights holds every weight of its model. One whose description asks for far more, or
    for far more tensors, does not describe what is in it: building the model would fill the memory
    only to find that no shape fits.
    """
    most = _FREE + 4 * path.stat().st_size
    many = _FREE_TENSORS + 4 * tensors

    def check(taken: int, number: int) -> None:
        if taken > most or number > many:
            found = "the description of a far larger model than its weights are"
            raise unreadable(path, _BUILDABLE, f"{found}, at least {in_bytes(taken)}")

    return check


def outside(registry: Registry[Any], record: Mapping[str, Any] | None) -> dict[str, str]:
    """The module of a registered class by its name; empty for classes of the library.

    Args:
        registry: Registry of the name.
        record: Plain data with a ``name``, or None.
    """
    if record is None or record["name"] not in registry:
        return {}
    module = registry[record["name"]].module
    return (
        {}
        if module == "learnedrecon" or module.startswith("learnedrecon.")
        else {record["name"]: module}
    )


def weights_file(path: str | os.PathLike[str]) -> Path:
    """The weights file of a path: itself, or the best (else the last) weights of a run folder.

    Args:
        path: Path of a file or run folder.

    Raises:
        FileFormatError: The folder has no weights.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in ("best", "last"):
        file = path / "checkpoints" / f"{name}.safetensors"
        if file.exists():
            return file
    raise FileFormatError(
        describe(
            expected=f"a checkpoint in {path / 'checkpoints'}",
            found="none",
            fix="train the run first: learnedrecon train CONFIG -o RUN",
        )
    )


def _require_imported(
    path: Path, content: Mapping[str, Any], registries: Sequence[Registry[Any]]
) -> None:
    """Refuses a file that names a class of a module that has not been imported.

    Raises:
        FileFormatError: The module is named; the file does not import it, as loading runs no code.
    """
    modules = content.get("modules", {})
    for name, module in modules.items() if isinstance(modules, dict) else ():
        if not any(name in registry for registry in registries):
            raise FileFormatError(
                describe(
                    expected=f"'{name}' of {path} to be registered",
                    found=f"nothing of that name; the file was written with the module {module}",
                    fix=f"import {module} before loading, or name it under 'imports' in the "
                    "configuration, if you trust it",
                )
            )


def _fidelity_of(content: Mapping[str, Any]) -> FidelityName:
    name = content.get("fidelity", "least_squares")
    for known in get_args(FidelityName):
        if name == known:
            return known
    raise unknown("'fidelity'", name, list(get_args(FidelityName)))


def _extra(content: Mapping[str, Any]) -> dict[str, Any]:
    extra = content.get("extra")
    return extra if isinstance(extra, dict) else {}


def load_state(
    path: str | os.PathLike[str], model: nn.Module, weights: Mapping[str, Tensor]
) -> None:
    """Loads ``weights`` into ``model`` if all names, shapes and dtypes agree and all are finite.

    Args:
        path: Name of the file, for messages.
        model: Model, changed in place.
        weights: Weights by name.

    Raises:
        FileFormatError: They do not fit; the message names ``path``, and ``model`` is unchanged.
    """
    require_match(path, expected=model.state_dict(), found=weights)
    require_finite(path, weights)
    model.load_state_dict(weights)
