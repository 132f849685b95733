"""Optimisers of a :class:`~learnedrecon.training.spec.OptimiserSpec`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from learnedrecon.errors import FileFormatError, describe
from learnedrecon.training.groups import members_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from learnedrecon.training.spec import OptimiserSpec


class TensorFlowRMSProp(torch.optim.Optimizer):
    r"""RMSProp as in TensorFlow 1, which Adler and Öktem (2017) used.

    .. math:: s \leftarrow \rho s + (1 - \rho) g^2, \quad
              \theta \leftarrow \theta - \eta\, g / \sqrt{s + \varepsilon}

    It differs from ``torch.optim.RMSprop``: the initial s is one, so that the first steps are
    small, and ε is under the root.

    Args:
        parameters: Real tensors, or groups of them.
        lr: Learning rate η.
        decay: Decay ρ of the mean square.
        epsilon: ε, under the root.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        decay: float = 0.9,
        epsilon: float = 1e-10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["decay"], group["epsilon"])
        return value

    def _move(self, parameter: Tensor, lr: float, decay: float, epsilon: float) -> None:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["mean_square"] = torch.ones_like(parameter)
        state["mean_square"].mul_(decay).addcmul_(gradient, gradient, value=1 - decay)
        parameter.addcdiv_(gradient, (state["mean_square"] + epsilon).sqrt(), value=-lr)


_QUANTITIES = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    TensorFlowRMSProp: {"mean_square"},
}


def build_optimiser(spec: OptimiserSpec, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
    """The optimiser that ``spec`` describes.

    Args:
        spec: Kind and parameters of the optimiser.
        parameters: Trained tensors by name.

    Returns:
        Optimiser with one group of parameters for every rate of ``spec.rates``, and one for the
        rest; each has its rate before the schedule as ``base_lr``.

    Raises:
        ConfigError: A rate belongs to no parameter, or several rates belong to one.
    """
    members = members_of(spec.rates or {}, parameters)
    special = {name for names in members.values() for name in names}
    rest = [parameter for name, parameter in parameters.items() if name not in special]
    chosen = [(rest, spec.learning_rate)] if rest else []
    for group, rate in (spec.rates or {}).items():
        chosen.append(([parameters[name] for name in members[group]], rate))
    groups = [{"params": params, "lr": rate, "base_lr": rate} for params, rate in chosen]
    if spec.kind == "adam":
        return torch.optim.Adam(groups, lr=spec.learning_rate, betas=spec.betas, eps=spec.epsilon)
    return TensorFlowRMSProp(groups, lr=spec.learning_rate, decay=spec.decay, epsilon=spec.epsilon)


def optimiser_state(
    optimiser: torch.optim.Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state of ``optimiser`` for every parameter, as ``parameter.quantity``.

    Args:
        optimiser: Optimiser.
        parameters: Trained tensors by name.
    """
    return {
        f"{name}.{quantity}": value
        for name, parameter in parameters.items()
        for quantity, value in optimiser.state.get(parameter, {}).items()
    }


def load_optimiser_state(
    optimiser: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
) -> None:
    """Loading of an optimiser state; quantities keep the memory format of their parameter.

    Args:
        optimiser: Optimiser, changed in place.
        parameters: Trained tensors by name.
        tensors: State from :func:`optimiser_state`.

    Raises:
        FileFormatError: A quantity belongs to no known parameter, has a wrong shape, or does not
            exist for this kind of optimiser.
    """
    known = _QUANTITIES.get(type(optimiser))
    state: dict[Tensor, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        name, _, quantity = full.rpartition(".")
        parameter = parameters.get(name)
        if known is not None and quantity not in known:
            raise FileFormatError(
                describe(
                    expected=f"state of {type(optimiser).__name__} ({', '.join(sorted(known))})",
                    found=f"'{full}'",
                    fix="resume with the optimiser that wrote the checkpoint",
                )
            )
        if parameter is None or tensor.shape not in (parameter.shape, torch.Size()):
            place = "no such parameter" if parameter is None else f"{tuple(parameter.shape)}"
            raise FileFormatError(
                describe(
                    expected=f"optimiser state that fits the model ({name}: {place})",
                    found=f"'{full}' of shape {tuple(tensor.shape)}",
                    fix="resume with the model and the optimiser that wrote the checkpoint",
                )
            )
        state.setdefault(parameter, {})[quantity] = _laid_out_as(parameter, tensor)
    optimiser.state.clear()
    optimiser.state.update(state)


def _laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    if tensor.shape != parameter.shape or tensor.ndim == 0:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
