"""The global random generators: seeded, saved, restored, and kept from being disturbed.

What a model draws while it is trained (dropout, say) comes from these. The data side has its own
generators, seeded by step and sample.
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
    """Seeds torch (CPU and GPU), numpy's and Python's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the global generator is what is meant)
    random.seed(seed)


@dataclass(frozen=True, eq=False)
class GeneratorState:
    """A moment of all global generators, which can become tensors for a file.

    Attributes:
        torch_cpu: (bytes,), uint8.
        torch_cuda: of the current device, or None where CUDA is not in use.
        numpy: as ``np.random.get_state`` gives it.
        python: as ``random.getstate`` gives it.
    """

    torch_cpu: Tensor
    torch_cuda: Tensor | None
    numpy: tuple[Any, ...]
    python: tuple[Any, ...]

    @classmethod
    def capture(cls) -> Self:
        """The generators as they are."""
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        numpy = np.random.get_state(legacy=True)  # noqa: NPY002 (see seed_generators)
        assert isinstance(numpy, tuple)
        return cls(torch.get_rng_state(), cuda, numpy, random.getstate())

    def restore(self) -> None:
        """Makes the generators what they were."""
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.torch_cuda)
        np.random.set_state(self.numpy)  # noqa: NPY002 (see seed_generators)
        random.setstate(self.python)

    def to_tensors(self) -> dict[str, Tensor]:
        """As tensors, which a checkpoint can hold; exact."""
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
            FileFormatError: a generator is missing.
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
    """Whatever is drawn in the block, the generators are afterwards what they were before."""
    before = GeneratorState.capture()
    try:
        yield
    finally:
        before.restore()
