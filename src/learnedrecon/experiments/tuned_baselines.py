"""Classical baselines with arguments tuned on validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.search import Tuned, tune
from learnedrecon.models.building import build_model
from learnedrecon.models.registry import MODELS
from learnedrecon.recorded import class_of
from learnedrecon.specs import named_from_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from learnedrecon.data.batch import Batch
    from learnedrecon.experiments.material import Material
    from learnedrecon.schemes.reconstructor import Reconstructor
    from learnedrecon.schemes.tunable import Tunable

_IMAGES: Final = 10


class TunedMethod(NamedTuple):
    """A method with its tuned argument.

    Attributes:
        model: Method with the best argument.
        argument: Name of the tuned argument; None where there is none.
        found: Tried values; None where there are none.
        others: Arguments determined by the validation images.
    """

    model: Reconstructor
    argument: str | None = None
    found: Tuned | None = None
    others: Mapping[str, Any] = {}


@torch.no_grad()
def tuned(name: str, material: Material, images: int = _IMAGES) -> TunedMethod:
    """A registered method with the argument of the largest mean PSNR on validation images.

    The class attribute ``tunable`` of the method defines what is tuned; a method without it has its
    defaults.

    Args:
        name: Name of a registered method without weights, such as "tv".
        material: Validation images and data range.
        images: Largest number of validation images.

    Raises:
        ConfigError: The name is unknown, the method has weights, or an argument has no default.
        GeometryError: The method does not exist for the operator.
        DataError: The PSNR has no peak within the search.
    """
    tunable = tunable_of(name)
    if tunable is None:
        return TunedMethod(without_weights(name))
    argument = tunable.argument
    batches = tuple(material.batches("validation", images))
    truths = [batch.truth for batch in batches if batch.truth is not None]
    problems = [batch.problem for batch in batches]
    noise = material.noise
    level = None if noise is None else noise.relative_level
    others = {**tunable.by_truths(truths), **tunable.by_noise(problems, level)}

    def method(value: float) -> Reconstructor:
        return without_weights(name, {**tunable.automatic, **others, argument: value})

    found = tune(
        _score_of(material, batches, method),
        start=tunable.start(batches[0].problem),
        factor=tunable.factor,
        upper=tunable.upper,
    )
    return TunedMethod(method(found.value), argument, found, others)


def with_automatic(method: object, arguments: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The arguments of a named method, completed by those with which it chooses from its data.

    Nothing is added where one of them is given, or where the method is not a name.

    Args:
        method: Name of a registered method, or anything else.
        arguments: Given arguments.
    """
    if not isinstance(method, str) or method not in MODELS:
        return arguments
    tunable, given = tunable_of(method), dict(arguments or {})
    if tunable is None or tunable.automatic.keys() & given.keys():
        return arguments
    return {**tunable.automatic, **given}


def tunable_of(name: str) -> Tunable | None:
    """The tunable argument of a registered method.

    Args:
        name: Name of the method.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in MODELS:
        named_from_plain(MODELS, {"name": name}, "method")
    tunable: Tunable | None = class_of(MODELS[name].spec).tunable
    return tunable


def without_weights(name: str, arguments: Mapping[str, Any] | None = None) -> Reconstructor:
    """A registered method without weights.

    Args:
        name: Name of the method, such as "fbp".
        arguments: Arguments of the method.

    Raises:
        ConfigError: The name is unknown, an argument is wrong or missing, or the method has
            weights.
    """
    spec = named_from_plain(MODELS, {"name": name, **(arguments or {})}, name)
    model = build_model(spec)
    if any(True for _ in model.parameters()):
        raise ConfigError(
            describe(
                expected=f"a method without weights by its name, or a run folder for '{name}'",
                found=f"'{name}', whose weights have to be trained",
                fix="train it with 'learnedrecon train CONFIG', then name the run folder",
            )
        )
    return model.eval()


def _score_of(
    material: Material, batches: Sequence[Batch], method: Callable[[float], Reconstructor]
) -> Callable[[float], float]:
    """From a parameter to the mean PSNR on validation images."""

    def score(value: float) -> float:
        scores = evaluate("tuning", method(value), batches, material.data_range)
        return scores.summary()["psnr"].mean

    return score
