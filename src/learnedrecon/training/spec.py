"""Specifications of trainings, as frozen dataclasses for configurations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from learnedrecon.choices import require_choices
from learnedrecon.errors import ConfigError, require
from learnedrecon.limits import MOST_STEPS, refuse_count


@dataclass(frozen=True)
class OptimiserSpec:
    """The optimiser and its parameters.

    Attributes:
        kind: ``adam`` (Kingma and Ba 2015), or ``rmsprop`` as TensorFlow 1 has it; see
            :class:`learnedrecon.training.optimisers.TensorFlowRMSProp`.
        learning_rate: Learning rate before the schedule.
        betas: Decays of Adam's two moments.
        decay: Decay of RMSProp's mean square.
        epsilon: Constant added to Adam's root, and under the root of RMSProp.
        rates: Learning rates of submodules where they differ, by the name of the submodule; None
            for one rate.
    """

    kind: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.9
    epsilon: float = 1e-8
    rates: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        _require(_positive(self.learning_rate), "learning_rate > 0", self.learning_rate)
        _require(all(0 <= beta < 1 for beta in self.betas), "betas in [0, 1)", self.betas)
        _require(0 <= self.decay < 1, "decay in [0, 1)", self.decay)
        _require(_positive(self.epsilon), "epsilon > 0", self.epsilon)
        rates = self.rates or {}
        _require(all(_positive(rate) for rate in rates.values()), "rates > 0", dict(rates))


@dataclass(frozen=True)
class ScheduleSpec:
    """The schedule of the learning rate; see :func:`learnedrecon.training.schedule.factor`.

    Attributes:
        kind: ``cosine`` (to zero at the last step), ``constant``, or ``inverse_time``, which is
            1 / (1 + rate · ⌊step / every⌋).
        warmup: Fraction of all steps in which the rate increases linearly.
        rate: Rate of the inverse-time decay.
        every: Number of steps between two changes of the inverse-time decay.
    """

    kind: Literal["cosine", "constant", "inverse_time"] = "cosine"
    warmup: float = 0.0
    rate: float = 1.0
    every: int = 500

    def __post_init__(self) -> None:
        require_choices(self)
        _require(0 <= self.warmup < 1, "warmup in [0, 1)", self.warmup)
        _require(self.rate >= 0 and math.isfinite(self.rate), "rate >= 0", self.rate)
        _require(self.every >= 1, "every >= 1", self.every)


@dataclass(frozen=True)
class BatchSpec:
    """The samples of one optimiser step.

    Attributes:
        size: Number of samples that are in memory together.
        accumulate: Number of batches whose gradients form one step, as one batch of size x
            accumulate would.
        repeats: Number of successive steps on the same data (10 in Adler and Öktem 2018).
    """

    size: int = 1
    accumulate: int = 1
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("size", "accumulate", "repeats"):
            _require(getattr(self, name) >= 1, f"{name} >= 1", getattr(self, name))


@dataclass(frozen=True)
class CheckpointSpec:
    """The times at which ``last`` is written, besides the end of the run and an interruption.

    Attributes:
        every: Number of steps between two checkpoints.
        seconds: Largest time between two checkpoints in seconds, or None.
    """

    every: int = 1000
    seconds: float | None = 600.0

    def __post_init__(self) -> None:
        _require(self.every >= 1, "every >= 1", self.every)
        _require(self.seconds is None or self.seconds > 0, "seconds > 0 or null", self.seconds)


@dataclass(frozen=True)
class BestSpec:
    """The rule that selects the weights kept as ``best``.

    Attributes:
        metric: Name of a number that the validation returns.
        mode: "max" if the largest number is best, "min" if the smallest is.
    """

    metric: str = "psnr"
    mode: Literal["max", "min"] = "max"

    def __post_init__(self) -> None:
        require_choices(self)
        _require(bool(self.metric), "metric that has a name", repr(self.metric))

    def better(self, value: float, best: float | None) -> bool:
        """True if ``value`` is better than the best so far; False for NaN."""
        if best is None:
            return not math.isnan(value)
        return value > best if self.mode == "max" else value < best


@dataclass(frozen=True)
class GreedySpec:
    """The options of greedy training; see :mod:`learnedrecon.training.greedy.update`.

    Attributes:
        fine_tune: Number of final optimiser steps, of all ``steps``, that train all steps of the
            chain together; the rest is divided equally among the steps of the chain.
        fine_tune_rate: Factor of the learning rate in the fine-tuning.
        cache_gb: Largest size of the cache on the disk in GB; 0 trains without a cache.
        shard: Number of samples in one file of the cache.
    """

    fine_tune: int = 0
    fine_tune_rate: float = 0.1
    cache_gb: float = 20.0
    shard: int = 16

    def __post_init__(self) -> None:
        _require(self.fine_tune >= 0, "fine_tune >= 0", self.fine_tune)
        _require(_positive(self.fine_tune_rate), "fine_tune_rate > 0", self.fine_tune_rate)
        _require(self.cache_gb >= 0, "cache_gb >= 0", self.cache_gb)
        _require(self.shard >= 1, "shard >= 1", self.shard)


_WIDEST, _DEEPEST = 4096, 64


def _of_critics() -> OptimiserSpec:
    return OptimiserSpec(learning_rate=3e-3, betas=(0.5, 0.9))


@dataclass(frozen=True)
class AdversarialSpec:
    """The options of adversarial training; see :mod:`learnedrecon.training.adversarial.update`.

    Attributes:
        weight: λ ≥ 0 of the critic in the loss of the reconstruction.
        penalty: μ > 0 of the gradient penalty.
        critic_steps: Number of steps of the critic before each one of the reconstruction.
        hidden: Numbers of channels of the layers of the critic.
        unit: Size of the differences of images that the critic resolves, as a fraction of the image
            scale of the method; see :class:`learnedrecon.networks.critic.Critic`.
        optimiser: Optimiser of the critic.

    Raises:
        ConfigError: A number is out of range.
    """

    weight: float = 0.1
    penalty: float = 10.0
    critic_steps: int = 1
    hidden: tuple[int, ...] = (8, 16, 16)
    unit: float = 0.05
    optimiser: OptimiserSpec = field(default_factory=_of_critics)

    def __post_init__(self) -> None:
        known = self.weight >= 0 and math.isfinite(self.weight)
        _require(known, "weight >= 0", self.weight)
        _require(_positive(self.penalty), "penalty > 0", self.penalty)
        _require(_positive(self.unit), "unit > 0", self.unit)
        _require(self.critic_steps >= 1, "critic_steps >= 1", self.critic_steps)
        _require(self.hidden and min(self.hidden) >= 1, "hidden of layers with >= 1", self.hidden)
        _require(max(self.hidden) <= _WIDEST, f"hidden of at most {_WIDEST}", self.hidden)
        _require(len(self.hidden) <= _DEEPEST, f"hidden of at most {_DEEPEST}", self.hidden)


@dataclass(frozen=True)
class TrainingSpec:
    """The specification of a training, without model and data.

    Attributes:
        steps: Number of optimiser steps.
        batch: Samples of one optimiser step.
        optimiser: Optimiser and its parameters.
        schedule: Schedule of the learning rate.
        clip_norm: Largest norm of all gradients together, to which larger ones are scaled, or None.
        average: Decay of a moving average of the weights, which is then validated and kept as
            ``best``; or None.
        precision: Precision of the networks, ``no`` (float32), ``bf16``, ``fp16`` (CUDA only), or
            ``auto`` for ``bf16`` on devices that multiply it in hardware; states and operators stay
            in float32.
        validate_every: Number of steps between two validations; the last step is also validated.
        log_every: Number of steps between two records.
        checkpoint: Times at which ``last`` is written.
        seed: Seed of the global generators of torch, NumPy and Python at step 0.
        channels_last: True for convolution weights, and hence activations, in the memory format
            channels_last; ``auto`` for the format that is faster on the device.
        strategy: ``greedy`` trains one step of a chain after the other, ``adversarial`` without
            pairs against a critic; None all steps together, with the loss of the configuration.
        greedy: Options of ``strategy: greedy``; None for the defaults.
        adversarial: Options of ``strategy: adversarial``; None for the defaults.
        best: Rule that selects the weights kept as ``best``.
        groups: Weights of the parts of the loss, by submodule and part: the parameters of a
            submodule follow the gradient of Σ_p w_p L_p. None for the sum of the parts.
        backward: Way of differentiating the scheme; ``auto`` for the model's own way.
        checkpoint_every: Number of steps of the scheme that share a stored state where ``backward``
            is ``checkpointed``; None for the model's own number.
    """

    steps: int = 100_000
    batch: BatchSpec = field(default_factory=BatchSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    clip_norm: float | None = 1.0
    average: float | None = None
    precision: Literal["auto", "no", "bf16", "fp16"] = "no"
    validate_every: int = 1000
    log_every: int = 10
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    seed: int = 0
    channels_last: Literal["auto"] | bool = "auto"
    strategy: Literal["greedy", "adversarial"] | None = None
    greedy: GreedySpec | None = None
    adversarial: AdversarialSpec | None = None
    best: BestSpec = field(default_factory=BestSpec)
    groups: Mapping[str, Mapping[str, float]] | None = None
    backward: Literal["auto", "backprop", "checkpointed", "reversible"] = "auto"
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        for name in ("steps", "validate_every", "log_every"):
            _require(getattr(self, name) >= 1, f"{name} >= 1", getattr(self, name))
        refuse_count(self.steps, MOST_STEPS, "steps of a training")
        _require(
            self.clip_norm is None or _positive(self.clip_norm),
            "clip_norm > 0 or null",
            self.clip_norm,
        )
        _require(
            self.average is None or 0 <= self.average < 1, "average in [0, 1) or null", self.average
        )
        _require(0 <= self.seed < 2**32, "seed in [0, 2^32)", self.seed)
        for name, section in (("greedy", self.greedy), ("adversarial", self.adversarial)):
            _require(
                section is None or self.strategy == name,
                f"strategy: {name} where there is a section '{name}'",
                self.strategy,
            )
        _require(
            self.groups is None or self.strategy != "greedy",
            "groups: null where the strategy is greedy",
            dict(self.groups or {}),
        )
        weights = [weight for parts in (self.groups or {}).values() for weight in parts.values()]
        _require(all(math.isfinite(w) for w in weights), "groups of finite weights", weights)
        _require(self.groups is None or bool(weights), "groups with weights", self.groups)
        _require(
            self.checkpoint_every is None or self.checkpoint_every >= 1,
            "checkpoint_every >= 1 or null",
            self.checkpoint_every,
        )
        _require(
            self.checkpoint_every is None or self.backward == "checkpointed",
            "backward: checkpointed where there is 'checkpoint_every'",
            self.backward,
        )


def _positive(value: float) -> bool:
    return value > 0 and math.isfinite(value)


def _require(holds: object, rule: str, value: object) -> None:
    fix = f"correct '{rule.split(maxsplit=1)[0]}'"
    require(holds, ConfigError, expected=rule, found=str(value), fix=fix)
