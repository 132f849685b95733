"""Weights that know the model and the operator they belong to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, get_args

from learnedrecon.errors import ConfigError, FileFormatError, LearnedReconError, describe
from learnedrecon.files import reading
from learnedrecon.generators import undisturbed_generators
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.specs import build, named_from_plain, named_to_plain, unknown
from learnedrecon.weights.budget import MemoryBudget
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
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from learnedrecon.operators.base import Operator
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.specs import Registry

FidelityName = Literal["least_squares", "kullback_leibler"]

_BUILDABLE: Final = "a checkpoint of a model and an operator that can be built"

MODEL = "model."
AVERAGE = "average."


@dataclass(frozen=True)
class Blueprint:
    """From what a model and its operator can be built again, as plain data.

    Attributes:
        model: a registered model spec with its ``name``.
        operator: the spec of the operator it was trained with, or None where that has none.
        fidelity: the name of the data term D whose gradient it was trained with.
        modules: Module of the model or operator by its name, where the library does not bring it.
    """

    model: dict[str, Any]
    operator: dict[str, Any] | None = None
    fidelity: FidelityName = "least_squares"
    modules: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model_spec: Any,  # noqa: ANN401 (any registered dataclass)
        operator_spec: Any = None,  # noqa: ANN401 (any registered dataclass)
        *,
        models: Registry[Reconstructor] = MODELS,
        operators: Registry[Operator] = OPERATORS,
        fidelity: FidelityName = "least_squares",
    ) -> Self:
        """From specs.

        Raises:
            ConfigError: a spec is not registered.
        """
        operator = None if operator_spec is None else named_to_plain(operators, operator_spec)
        model = named_to_plain(models, model_spec)
        modules = outside(models, model) | outside(operators, operator)
        return cls(model, operator, fidelity, modules)


class Loaded(NamedTuple):
    """A model that was saved, ready to reconstruct.

    Attributes:
        model: In evaluation mode, on the CPU; ``model.spec`` says what it was built from.
        operator: The operator it was trained with, or None if it was saved without.
        extra: What was saved beside, such as the step and the score.
        fidelity: Name of the data term it was trained with; least squares where a file of an
            earlier version does not say.
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
    """Writes the weights of a model with what rebuilds it and its operator, atomically.

    :func:`load_weights` needs nothing else.

    Args:
        path: A file, by convention ``*.safetensors``.
        model: A model of a registered class.
        operator: T that it was trained with, of a registered class.
        fidelity: Name of the data term that it was trained with.
        extra: JSON to keep beside.

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
    """Writes weights for which the blueprint is at hand, such as those of a training.

    Args:
        path: A file.
        model: The module whose ``state_dict`` is written.
        blueprint: From which :func:`load_weights` builds it again.
        extra: JSON to keep beside.

    Raises:
        FileFormatError: The folder cannot be written.
    """
    content = {**asdict(blueprint), "extra": dict(extra or {})}
    write_tensors(path, with_prefix(MODEL, model.state_dict()), content)


def _spec_of(thing: Reconstructor | Operator) -> Any:  # noqa: ANN401 - any record
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
    """Builds the model and the operator that a checkpoint describes, and fills in the weights.

    Reads what :func:`save_weights` wrote, and the ``last`` of a run: if that keeps a moving average
    of the weights, the average. No code is executed but that of the two registries, and the global
    random generators are left as they are.

    Args:
        path: the file; or a run folder, for its best weights (see :func:`weights_file`).
        models: where the model's name is looked up.
        operators: where the operator's name is looked up.

    Raises:
        FileFormatError: the file is missing, broken, newer, a pickle, of an unknown model or
            operator; its tensors do not fit the model; or it holds NaN or infinity.
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
            with MemoryBudget(path, _BUILDABLE):
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


def outside(registry: Registry[Any], record: Mapping[str, Any] | None) -> dict[str, str]:
    """The module of a registered class by its name; empty for what the library brings.

    Args:
        registry: The registry that has the name.
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
    """``path`` itself; of a run folder the best weights, or the last before any validation.

    Raises:
        FileFormatError: a folder without weights.
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
    """Fills ``weights`` into ``model`` if all names, shapes and dtypes agree and all are finite.

    Raises:
        FileFormatError: they do not; ``path`` is named, and ``model`` is unchanged.
    """
    require_match(path, expected=model.state_dict(), found=weights)
    require_finite(path, weights)
    model.load_state_dict(weights)
