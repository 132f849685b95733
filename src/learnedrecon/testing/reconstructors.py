"""Checks of methods: independence of samples, gradients, saving and loading."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING

import torch

from learnedrecon.errors import ConfigError, describe
from learnedrecon.testing.batches import can_take_data, singles, why_not_split, with_data
from learnedrecon.testing.numbers import distance, seeded
from learnedrecon.testing.report import Checklist, Report, tolerance_of
from learnedrecon.testing.steps import is_unchanged, perturb, snapshot

if TYPE_CHECKING:
    from torch import Tensor

    from learnedrecon.problem import Problem
    from learnedrecon.schemes.reconstructor import Reconstructor


def check_reconstructor(
    model: Reconstructor, problem: Problem, *, seed: int = 0, tolerance: float | None = None
) -> Report:
    """Check of a method, learned or not, on one batch, in its present mode (training or not).

    The image has the right shape and is finite; a sample does not depend on the others; the last
    of ``iterates`` is the result; gradients reach every parameter, at slightly perturbed weights,
    because a layer that starts at zero hides the layers before it; a saved state and a pickle give
    the same image; the problem does not change.

    Args:
        model: The method.
        problem: A dataclass with a field ``data``, such as ``InverseProblem``.
        seed: Seed of the perturbation and of the cotangent.
        tolerance: Relative tolerance; 1e-10 in float64 and 1e-5 in float32 unless given.

    Returns:
        Report with one number per property.

    Raises:
        ConfigError: The problem cannot be given other data.
        PropertyError: A property does not hold; the message has its number and its tolerance.
    """
    if not can_take_data(problem):
        raise ConfigError(
            describe(
                expected="a problem that is a dataclass with a field 'data'",
                found=type(problem).__name__,
                fix="check the model on an InverseProblem",
            )
        )
    checks = Checklist(type(model).__name__, tolerance_of(problem.data.dtype, given=tolerance))
    image = _check_image(checks, model, problem)
    _check_batch(checks, model, problem, image)
    _check_iterates(checks, model, problem, image)
    _check_parameters(checks, model, problem, seed)
    _check_storage(checks, model, problem, image)
    return checks.report()


@torch.no_grad()
def _check_image(checks: Checklist, model: Reconstructor, problem: Problem) -> Tensor:
    before = snapshot(problem)
    estimate = model(problem)
    image: Tensor = estimate.image
    domain = problem.operator.domain
    shape = tuple(image.shape)
    checks.require_true(
        "the image is (batch, channel, *domain.shape)",
        shape[0] == problem.data.shape[0]
        and len(shape) == domain.ndim + 2
        and shape[2:] == domain.shape,
        f"return an image that ends in {domain.shape}",
    )
    checks.require_true(
        "the image has the domain's kind in the data's precision",
        image.is_complex() == domain.is_complex
        and image.dtype.to_real() == problem.data.dtype.to_real(),
        "do not convert between the data and the image",
    )
    checks.require_true(
        "the image is finite", bool(image.isfinite().all()), "look for a division by zero"
    )
    variance = estimate.variance
    checks.require_true(
        "the variance, if any, has the image's shape and is not negative",
        variance is None or (variance.shape == image.shape and bool((variance >= 0).all())),
        "return one variance per pixel",
    )
    checks.require_true(
        "the problem is left alone", is_unchanged(problem, before), "do not write into the problem"
    )
    return image


@torch.no_grad()
def _check_batch(checks: Checklist, model: Reconstructor, problem: Problem, image: Tensor) -> None:
    fix = "use no statistics over the batch axis (BatchNorm in training mode is one)"
    number = problem.data.shape[0]
    checks.require(
        "the same twice", distance(model(problem).image, image), "draw nothing at random"
    )
    if number > 1:
        changed = problem.data.clone()
        changed[1:] = 1.7 * changed[1:].flip(-1)
        first = model(with_data(problem, changed)).image[:1]
        checks.require("a sample ignores the others", distance(first, image[:1]), fix)
    else:
        checks.skip("a sample ignores the others", "a batch of one")
    title = "a batch is a stack of singles"
    reason = why_not_split(problem)
    if number > 1 and reason:
        checks.skip(title, reason)
        return
    stack = torch.cat([model(single).image for single in singles(problem)])
    checks.require(title, distance(image, stack), fix)


@torch.no_grad()
def _check_iterates(
    checks: Checklist, model: Reconstructor, problem: Problem, image: Tensor
) -> None:
    *_, last = model.iterates(problem)
    checks.require(
        "the last of iterates is the result", distance(last.image, image), "iterate as in forward"
    )


def _check_parameters(checks: Checklist, model: Reconstructor, problem: Problem, seed: int) -> None:
    title = "gradients reach every parameter"
    twin = copy.deepcopy(model)
    perturb(twin, seed)
    learned = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    if not learned:
        checks.skip(title, "nothing is learned")
        return
    image = twin(problem).image
    generator = seeded(seed)
    weight = torch.randn(image.shape, generator=generator, dtype=image.dtype).to(image.device)
    loss = (weight.conj() * image).real.sum()
    gradients = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
    dead = [n for n, g in zip(learned, gradients, strict=True) if g is None or not g.any()]
    checks.require(title, len(dead), f"use or remove {', '.join(dead[:8])}", within=0.0)
    finite = all(bool(g.isfinite().all()) for g in gradients if g is not None)
    checks.require_true("gradients are finite", finite, "look for sqrt or division at zero")


@torch.no_grad()
def _check_storage(
    checks: Checklist, model: Reconstructor, problem: Problem, image: Tensor
) -> None:
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    twin = copy.deepcopy(model)
    perturb(twin, seed=1)
    twin.load_state_dict(torch.load(stored, weights_only=True), strict=True)
    checks.require(
        "a stored state gives the same image",
        distance(twin(problem).image, image),
        "register what is learned as a parameter or a persistent buffer",
    )
    revived = pickle.loads(pickle.dumps(model))  # noqa: S301  (our own bytes)
    checks.require(
        "a pickle gives the same image",
        distance(revived(problem).image, image),
        "no lambdas and no open files in a model",
    )
