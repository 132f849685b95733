"""Methods by what the user calls them: a run folder, a weights file, a configuration, a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from learnedrecon import specs
from learnedrecon.config.schema import Config
from learnedrecon.config.yaml_file import read_config
from learnedrecon.errors import ConfigError, FileFormatError, describe
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.base import Operator
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.schemes.reconstructor import Reconstructor
from learnedrecon.weights.checkpoint import FidelityName, load_weights, weights_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from learnedrecon.recorded import Record


CLASSICAL = ("fbp", "tv")
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Method:
    """Something that reconstructs.

    Attributes:
        label: for tables.
        model: in evaluation mode, on the device.
        operator: the one that the weights were trained with, on the CPU; None where there are no
            weights.
        config: of the run, or None.
        extra: what was saved beside the weights, such as the step.
        fidelity: the name of the data term that its problems have.
    """

    label: str
    model: Reconstructor
    operator: Operator | None = None
    config: Config | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    fidelity: FidelityName = "least_squares"

    @property
    def trained_on(self) -> Record:
        """The spec of the operator that the weights were trained with, or None."""
        return None if self.operator is None else self.operator.spec


def open_run(
    path: Path, overrides: Sequence[str] = (), *, device: torch.device = CPU
) -> tuple[Method, Experiment]:
    """A run folder, or a configuration of a method without weights, and its experiment.

    Args:
        path: of the folder, or of a YAML file.
        overrides: of the configuration.
        device: of the model and of batches.

    Raises:
        FileFormatError: no such path, no checkpoint, or broken files.
        ConfigError: a wrong configuration, or one whose method must be trained first.
    """
    folder = path.is_dir()
    config = read_config(path / "config.yaml" if folder else _config_file(path), overrides)
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

    Raises:
        FileFormatError: the file is missing, broken, or not ours.
    """
    loaded = load_weights(path, models=MODELS, operators=OPERATORS)
    return Method(
        label or path.stem,
        loaded.model.to(device),
        loaded.operator,
        config,
        loaded.extra,
        loaded.fidelity if config is None else config.fidelity,
    )


def classical(name: str, model: Reconstructor, *, device: torch.device = CPU) -> Method:
    """A method without weights.

    Args:
        name: for tables.
        model: the method.
        device: of the model.
    """
    return Method(name, model.to(device).eval())


def _untrained(path: Path, experiment: Experiment) -> Method:
    model = experiment.model()
    if any(True for _ in model.parameters()):
        raise ConfigError(
            describe(
                expected=f"a run folder, or a configuration of a method without weights, as {path}",
                found=f"a configuration of '{experiment.blueprint.model['name']}', which has some",
                fix=f"train it with 'learnedrecon train {path}', then name the run folder",
            )
        )
    name = experiment.blueprint.model["name"]
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
