"""Selection by name of the way in which a method's scheme is differentiated."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from learnedrecon.errors import ConfigError, describe
from learnedrecon.schemes.backward import Backprop, Backward, Checkpointed
from learnedrecon.schemes.iterations import CyclicChain
from learnedrecon.schemes.reconstructor import Iterative, Reconstructor
from learnedrecon.schemes.reversible import Reversible
from learnedrecon.schemes.step import Chain, Repeat

BackwardName: TypeAlias = Literal["auto", "backprop", "checkpointed", "reversible"]


def set_backward(
    model: Reconstructor, backward: BackwardName = "auto", checkpoint_every: int | None = None
) -> None:
    """Sets in place the way in which the composition of a method's steps is differentiated.

    All ways give the same gradient up to rounding, with different memory and time.

    Args:
        model: Method whose scheme is a composition of steps.
        backward: "auto" keeps the method's own way; "backprop" stores every activation,
            "checkpointed" some states, and "reversible" none, see :class:`Backprop`,
            :class:`Checkpointed` and :class:`Reversible`.
        checkpoint_every: Number of steps that share one stored state of "checkpointed"; 1 unless
            given.

    Raises:
        ConfigError: The name is unknown, checkpoint_every is below 1 or given without
            "checkpointed", the method is not a composition of steps, or a step has no inverse for
            "reversible".
    """
    mode = _mode(backward, checkpoint_every)
    if mode is None:
        return
    scheme = model.scheme if isinstance(model, Iterative) else None
    if not isinstance(scheme, Chain | Repeat | CyclicChain):
        raise ConfigError(
            describe(
                expected=f"a Chain or a Repeat of steps, to be differentiated by '{backward}'",
                found=type(model).__name__
                + ("" if scheme is None else f" with a {type(scheme).__name__}"),
                fix="use backward='auto', the method's own way",
            )
        )
    mode.check([scheme.step] if isinstance(scheme, Repeat) else list(scheme.steps))
    scheme.backward_mode = mode


def _mode(backward: str, checkpoint_every: int | None) -> Backward | None:
    if backward not in get_args(BackwardName):
        raise ConfigError(
            describe(
                expected=f"'backward', one of {', '.join(get_args(BackwardName))}",
                found=f"{backward!r:.80}",
                fix="choose one of these",
            )
        )
    if checkpoint_every is not None and backward != "checkpointed":
        raise ConfigError(
            describe(
                expected="'checkpoint_every' only with backward='checkpointed'",
                found=f"checkpoint_every = {checkpoint_every} with backward={backward!r}",
                fix="set backward='checkpointed', or omit 'checkpoint_every'",
            )
        )
    if backward == "checkpointed":
        return Checkpointed(1 if checkpoint_every is None else checkpoint_every)
    return {"backprop": Backprop(), "reversible": Reversible()}.get(backward)
