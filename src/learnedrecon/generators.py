"""Global random generators: seeding, saving, restoring, protection from changes.

Random numbers that a model draws during training (for example dropout) come from these generators.
The data side has its own generators, seeded by step and sample.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from learnedrecon.errors import FileFormatError, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_NAMES = ("torch", "numpy", "numpy.gauss", "python", "python.gauss")


def seed_generators(seed: int) -> None:
    """Seeding of the global generators of torch (CPU and GPU), NumPy and Python.

    Args:
        seed: Seed ≥ 0.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the global generator is what is meant)
    random.seed(seed)


@dataclass(frozen=True, eq=False)
class GeneratorState:
    """The state of all global generators, convertible to tensors for a file.

    Attributes:
        torch_cpu: State of torch's CPU generator, (bytes,), uint8.
        torch_cuda: State of the current device's generator, or None where CUDA is not in use.
        numpy: State that ``np.random.get_state`` returns.
        python: State that ``random.getstate`` returns.
    """

    torch_cpu: Tensor
    torch_cuda: Tensor | None
    numpy: tuple[Any, ...]
    python: tuple[Any, ...]

    @classmethod
    def capture(cls) -> Self:
        """The present state of the generators."""
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        numpy = np.random.get_state(legacy=True)  # noqa: NPY002 (see seed_generators)
        assert isinstance(numpy, tuple)
        return cls(torch.get_rng_state(), cuda, numpy, random.getstate())

    def restore(self) -> None:
        """Sets the generators to this state."""
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.torch_cuda)
        np.random.set_state(self.numpy)  # noqa: NPY002 (see seed_generators)
        random.setstate(self.python)

    def to_tensors(self) -> dict[str, Tensor]:
        """The state as tensors for a checkpoint, exact."""
        _, keys, position, has_gauss, gauss = self.numpy
        version, words, python_gauss = self.python
        tensors = {
            "torch": self.torch_cpu,
            "numpy": torch.tensor([*keys.tolist(), position, has_gauss]),
            "numpy.gauss": torch.tensor(gauss, dtype=torch.float64),
            "python": torch.tensor([version, *words]),
            "python.gauss": torch.tensor(
                [] if python_gauss is None else [python_gauss], dtype=torch.float64
            ),
        }
        return tensors if self.torch_cuda is None else {**tensors, "cuda": self.torch_cuda}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of :meth:`to_tensors`.

        Raises:
            FileFormatError: A generator is missing.
        """
        missing = [name for name in _NAMES if name not in tensors]
        if missing:
            raise FileFormatError(
                describe(
                    expected=f"the state of the generators {', '.join(_NAMES)}",
                    found=f"none of {', '.join(missing)}",
                    fix="resume from a checkpoint that this package wrote",
                )
            )
        *keys, position, has_gauss = tensors["numpy"].tolist()
        version, *words = tensors["python"].tolist()
        gauss = tensors["python.gauss"].tolist()
        return cls(
            tensors["torch"],
            tensors.get("cuda"),
            (
                "MT19937",
                np.array(keys, dtype=np.uint32),
                position,
                has_gauss,
                tensors["numpy.gauss"].item(),
            ),
            (version, tuple(words), gauss[0] if gauss else None),
        )


@contextmanager
def undisturbed_generators() -> Iterator[None]:
    """A context after which the global generators are in the state that they had before."""
    before = GeneratorState.capture()
    try:
        yield
    finally:
        before.restore()
