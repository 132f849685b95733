"""Methods as users name them: a run folder, a weights file, a configuration, a name."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon import specs
from learnedrecon.config.schema import Config
from learnedrecon.config.yaml_file import read_config
from learnedrecon.errors import ConfigError, FileFormatError, LearnedReconError, describe
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.tuned_baselines import without_weights
from learnedrecon.models.registry import MODELS
from learnedrecon.networks.layout import channels_last_is_faster, set_channels_last
from learnedrecon.operators.base import Operator
from learnedrecon.recorded import arguments_of
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.weights.checkpoint import FidelityName, load_weights, weights_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from learnedrecon.recorded import Record

_LOG = logging.getLogger(__name__)

CPU = torch.device("cpu")
_NOT_USED = ("training", "loss")


@dataclass(frozen=True, eq=False)
class Method:
    """A reconstruction method with its operator and configuration.

    Attributes:
        label: Name for tables.
        model: Model in evaluation mode, on the device.
        operator: Operator of the training, on the CPU; None without weights.
        config: Configuration of the run, or None.
        extra: Values saved with the weights, such as the step.
        fidelity: Name of the data term of its problems.
    """

    label: str
    model: Reconstructor
    operator: Operator | None = None
    config: Config | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    fidelity: FidelityName = "least_squares"

    @property
    def trained_on(self) -> Record:
        """The record of the operator of the training, or None."""
        return None if self.operator is None else self.operator.spec

    @property
    def channels(self) -> int:
        """The number of channels of the model's images; 1 where it has no such number."""
        like = {} if self.model.spec is None else arguments_of(self.model.spec)
        known = like.get("like")
        return 1 if known is None else int(known.channels)


def find_method(
    method: str | os.PathLike[str] | Reconstructor | Method,
    *,
    arguments: Mapping[str, Any] | None = None,
    device: torch.device = CPU,
) -> Method:
    """The method of a name or path.

    Args:
        method: Run folder, weights file, name of a registered method without weights, such as
            "fbp", or a model.
        arguments: Arguments of a method that is given by its name.
        device: Device of the model.

    Raises:
        ConfigError: Arguments are wrong, or given for a method with its own, or a named method has
            weights.
        FileFormatError: There is no such run or file, or weights are broken.
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, Reconstructor):
        return Method(type(method).__name__, for_inference(method, device))
    if str(method) in MODELS:
        model = without_weights(str(method), arguments)
        return Method(str(method), model.to(device))
    if arguments:
        raise ConfigError(
            describe(
                expected=f"{', '.join(arguments)} for the name of a method that has it",
                found=f"{method}, which has its own arguments",
                fix="omit it or correct it",
            )
        )
    path = Path(method)
    if path.is_dir():
        return _of_folder(path, device)
    if not path.exists():
        raise FileFormatError(
            describe(
                expected="a run folder, a weights file, or the name of a method such as 'fbp' or "
                "'tv'",
                found=f"'{path}', which does not exist",
                fix="correct the path, or see 'learnedrecon list models'",
            )
        )
    folder = path.parent.parent
    beside = path.parent.name == "checkpoints" and (folder / "config.yaml").is_file()
    return open_weights(path, config=_config_of(folder) if beside else None, device=device)


def open_run(
    path: Path, overrides: Sequence[str] = (), *, device: torch.device = CPU
) -> tuple[Method, Experiment]:
    """A run folder, or a configuration of a method without weights, with its experiment.

    Errors in sections that a finished training no longer needs are logged.

    Args:
        path: Path of the folder, or of a YAML file.
        overrides: Overrides of the configuration.
        device: Device of the model and of batches.

    Raises:
        FileFormatError: There is no such path or no checkpoint, or files are broken.
        ConfigError: The configuration is invalid, or its method must be trained first.
    """
    folder = path.is_dir()
    file = path / "config.yaml" if folder else _config_file(path)
    config = read_config(file, overrides, unused=_NOT_USED)
    experiment = Experiment(config, device)
    if not folder:
        return _untrained(path, experiment), experiment
    method = open_weights(
        weights_file(path), label=path.resolve().name, config=config, device=device
    )
    if method.model.spec != experiment.model_spec:
        raise ConfigError(
            describe(
                expected=f"the model of {path}, {specs.named_to_plain(MODELS, method.model.spec)}",
                found=f"{specs.named_to_plain(MODELS, experiment.model_spec)}",
                fix="override nothing in 'model' of a trained run, or train another run",
            )
        )
    return method, experiment


def open_weights(
    path: Path,
    *,
    label: str | None = None,
    config: Config | None = None,
    device: torch.device = CPU,
) -> Method:
    """The method in a weights file.

    Args:
        path: Path of the file.
        label: Name for tables; that of the file unless given.
        config: Configuration of the run, or None.
        device: Device of the model.

    Raises:
        FileFormatError: The file is missing, broken, or not from this package.
    """
    loaded = load_weights(path)
    return Method(
        label or path.stem,
        for_inference(loaded.model, device),
        loaded.operator,
        config,
        loaded.extra,
        loaded.fidelity if config is None else config.fidelity,
    )


def for_inference(model: Reconstructor, device: torch.device | str) -> Reconstructor:
    """The model on the device, in evaluation mode, in the memory format that is faster there.

    Args:
        model: Model, which is changed in place.
        device: Device.
    """
    model = model.to(device).eval()
    faster = channels_last_is_faster(device, training=False)
    return set_channels_last(model) if faster else model


def require_operator(method: Method, name: object) -> Operator:
    """The operator of a method's training.

    Args:
        method: Method.
        name: Name that the user gave, for the message.

    Raises:
        ConfigError: The method has none.
    """
    if method.operator is None:
        raise ConfigError(
            describe(
                expected=f"weights with the operator that they were trained with in {name}",
                found="none",
                fix="name a run folder, give an operator, or save the weights with "
                "save_weights(..., operator=T)",
            )
        )
    return method.operator


def _of_folder(path: Path, device: torch.device) -> Method:
    config = _config_of(path)
    return open_weights(weights_file(path), label=path.resolve().name, config=config, device=device)


def _config_of(folder: Path) -> Config | None:
    """The configuration of a run; None, which is logged, where it cannot be read."""
    try:
        return read_config(folder / "config.yaml", unused=_NOT_USED)
    except LearnedReconError as error:
        _LOG.warning("The configuration of %s is not used: %s", folder, error)
        return None


def _untrained(path: Path, experiment: Experiment) -> Method:
    model = experiment.model()
    name = experiment.blueprint.model["name"]
    if any(True for _ in model.parameters()):
        raise ConfigError(
            describe(
                expected=f"a run folder, or a configuration of a method without weights, as {path}",
                found=f"a configuration of '{name}', which has some",
                fix=f"train it with 'learnedrecon train {path}', then name the run folder",
            )
        )
    config = experiment.config
    return Method(name, model.to(experiment.device).eval(), fidelity=config.fidelity)


def _config_file(path: Path) -> Path:
    if path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
        return path
    raise FileFormatError(
        describe(
            expected=f"{path} to be a run folder, or a YAML configuration",
            found="another kind of file" if path.exists() else "no such path",
            fix="name the folder that 'learnedrecon train' wrote to",
        )
    )
