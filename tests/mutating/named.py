"""Changes that tests once did not notice, by name; they are made in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.mutating.changes import Mutation

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "src/learnedrecon"


class Named(NamedTuple):
    """A text that stands once in a file, and what is written instead.

    Attributes:
        name: What is wrong then.
        file: within the package.
        before: the text.
        after: the other text.
    """

    name: str
    file: str
    before: str
    after: str


NAMED = (
    Named(
        "stability constant of DE-Prox without its factor 1 + ε",
        "models/equilibrium.py",
        "sensitivity = (1 + epsilon) * self.step",
        "sensitivity = self.step",
    ),
    Named(
        "stability constant of DE-ADMM halved",
        "models/equilibrium_splitting.py",
        "math.sqrt(penalty) / 2",
        "math.sqrt(penalty) / 4",
    ),
    Named(
        "γ of DE-ADMM with the smaller reflection",
        "models/equilibrium_splitting.py",
        "reflected = max(",
        "reflected = min(",
    ),
    Named(
        "bound for reflecting padding √2 in place of √2 per axis",
        "networks/spectral.py",
        "math.sqrt(2.0) ** axes",
        "math.sqrt(2.0)",
    ),
    Named(
        "Lipschitz constant of weighted least squares: the mean of the weights",
        "functionals/fidelities.py",
        "float(self.weights.max())",
        "float(self.weights.mean())",
    ),
    Named(
        "Lipschitz constant of smoothed TV halved",
        "functionals/regularisers.py",
        "4.0 * self.axes / self.smoothing",
        "2.0 * self.axes / self.smoothing",
    ),
    Named(
        "damping 1 - d in place of d in JacobianFree",
        "schemes/implicit.py",
        "torch.lerp(old, new, damping)",
        "torch.lerp(new, old, damping)",
    ),
    Named(
        "deep_gradient starts from T*y whatever is asked for",
        "models/deep_gradient.py",
        "start_of(start)",
        'start_of("adjoint")',
    ),
    Named(
        "deep_gradient starts from T*y unless something else is asked for",
        "models/deep_gradient.py",
        'start: Start = "auto"',
        'start: Start = "adjoint"',
    ),
    Named(
        "low-resolution maps without their window",
        "solvers/coils/coil_maps.py",
        "window = window[..., None] * hann[1:-1]",
        "window = window[..., None] * torch.ones_like(hann[1:-1])",
    ),
    Named(
        "window of low-resolution maps one sample aside",
        "solvers/coils/coil_maps.py",
        "hann[1:-1]",
        "hann[2:]",
    ),
)


def named(root: Path) -> list[tuple[str, Mutation]]:
    """The names and the changes.

    Raises:
        ValueError: a text does not stand once in its file.
    """
    found = []
    for name, file, before, after in NAMED:
        path = f"{PACKAGE}/{file}"
        source = (root / path).read_text(encoding="utf-8")
        if source.count(before) != 1:
            raise ValueError(f"{before!r} stands {source.count(before)} times in {path}")
        at = source.index(before)
        line = source.count("\n", 0, at) + 1
        text = source.splitlines()[line - 1].strip()
        changed = source.replace(before, after)
        found.append((name, Mutation(path, line, text, f"{after} for {before}", changed)))
    return found
