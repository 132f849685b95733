"""Checks that the records of models build the same models again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from learnedrecon import specs
from learnedrecon.errors import ConfigError, LearnedReconError, describe
from learnedrecon.generators import undisturbed_generators
from learnedrecon.models.building import build_model
from learnedrecon.models.registry import MODELS
from learnedrecon.operators.registry import OPERATORS

if TYPE_CHECKING:
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.weights.checkpoint import Blueprint


def require_rebuilt(blueprint: Blueprint, model: Reconstructor) -> None:
    """Check that a model can be loaded from its record after the training.

    The record is written as JSON and read, and the model is built from it, as in loading.

    Args:
        blueprint: Description in the checkpoints.
        model: Model that will be trained.

    Raises:
        ConfigError: The record cannot be read back, or gives another model.
    """
    try:
        content = json.loads(json.dumps(asdict(blueprint), allow_nan=False))
        if content["operator"] is not None:
            specs.named_from_plain(OPERATORS, content["operator"], "operator")
        spec = specs.named_from_plain(MODELS, content["model"], "model")
        with undisturbed_generators():
            again = build_model(spec)
    except (LearnedReconError, TypeError, ValueError) as error:
        raise _refused(model, f"{error}") from error
    if again.spec != model.spec:
        raise _refused(model, "another record after it was written and read")
    ours = {name: tuple(each.shape) for name, each in model.state_dict().items()}
    theirs = {name: tuple(each.shape) for name, each in again.state_dict().items()}
    if ours != theirs:
        names = sorted(
            name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
        )
        raise _refused(model, f"other weights, {', '.join(names[:3])}, when it is built again")


def _refused(model: Reconstructor, found: str) -> ConfigError:
    return ConfigError(
        describe(
            expected=f"a record of {type(model).__name__} from which it can be built again",
            found=found,
            fix="let its constructor take all that it depends on, as numbers, texts, lists of "
            "these, or frozen dataclasses of them",
        )
    )
