"""The complete state of a training, from which it continues exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from torch import nn

from learnedrecon.errors import FileFormatError, describe
from learnedrecon.generators import GeneratorState
from learnedrecon.specs import from_plain
from learnedrecon.training.average import MovingAverage
from learnedrecon.training.inputs import FilesDigest
from learnedrecon.training.update import Update
from learnedrecon.weights.checkpoint import (
    AVERAGE,
    MODEL,
    Blueprint,
    load_state,
    write_weights,
)
from learnedrecon.weights.tensorfile import (
    read_tensors,
    require_finite,
    require_match,
    with_prefix,
    without_prefix,
    write_tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


UPDATE = "update."
GENERATORS = "generators."


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        step: Number of optimiser steps.
        best: Best number of a validation so far, the largest PSNR in dB by default, or None.
        finished: True if all steps, and the validation after them, are done.
        unvalidated: True if the validation that is due after ``step`` failed and must be repeated.
    """

    step: int = 0
    best: float | None = None
    finished: bool = False
    unvalidated: bool = False


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The changing parts of a run: weights, optimiser, moving average; generators are global.

    Attributes:
        model: Model that is trained in place.
        update: Update with the optimiser.
        average: Moving average of the weights, or None.
    """

    model: nn.Module
    update: Update
    average: MovingAverage | None


class Checkpoints:
    """The checkpoints ``last``, to continue from, and ``best``, to reconstruct with.

    Each is one file, which is replaced atomically.

    Args:
        folder: Folder of the two files.
        blueprint: Blueprint of the model, stored in both.

    Attributes:
        data: Digests of the training data files, stored in ``last``; see
            :func:`learnedrecon.training.inputs.data_digests`.
        metric: Name of the number that selects ``best``, under which its value is stored.
    """

    def __init__(self, folder: Path, blueprint: Blueprint) -> None:
        self.last = folder / "last.safetensors"
        self.best = folder / "best.safetensors"
        self.blueprint = blueprint
        self.data: dict[str, FilesDigest] = {}
        self.metric = "psnr"

    def save_best(self, model: nn.Module, progress: Progress) -> None:
        """Writes the present weights of ``model`` as ``best``."""
        extra = {"step": progress.step, self.metric: progress.best}
        write_weights(self.best, model, self.blueprint, extra)

    def save_last(self, state: TrainingState, progress: Progress) -> None:
        """Writes ``state``, the global generators and ``progress`` as ``last``."""
        tensors = {
            **with_prefix(MODEL, state.model.state_dict()),
            **with_prefix(UPDATE, state.update.state()),
            **with_prefix(GENERATORS, GeneratorState.capture().to_tensors()),
            **with_prefix(AVERAGE, {} if state.average is None else state.average.weights),
        }
        extra = {"step": progress.step, self.metric: progress.best}
        content = {
            **asdict(self.blueprint),
            "extra": extra,
            "progress": asdict(progress),
            "data": self.data,
        }
        write_tensors(self.last, tensors, content)

    def progress(self) -> Progress | None:
        """The progress of ``last``, or None if there is none.

        Raises:
            FileFormatError: The file is broken, or not a training state.
        """
        return self._progress(read_tensors(self.last)[1]) if self.last.exists() else None

    def data_changed(self) -> dict[str, tuple[FilesDigest, FilesDigest]]:
        """The sections of data whose files differ from those of ``last``, with both digests.

        Raises:
            FileFormatError: ``last`` is broken.
        """
        content = read_tensors(self.last)[1] if self.last.exists() else {}
        before = content.get("data", {})
        return {
            name: (FilesDigest(*before[name]), digest)
            for name, digest in self.data.items()
            if name in before and tuple(before[name]) != digest
        }

    def load_last(self, state: TrainingState) -> Progress | None:
        """Loads ``last`` into ``state`` and the global generators; None if there is none.

        Raises:
            FileFormatError: The file is broken, belongs to another model, or to another optimiser.
        """
        if not self.last.exists():
            return None
        tensors, content = read_tensors(self.last)
        progress = self._progress(content)
        self._require_same_blueprint(content)
        self._load_average(state.average, without_prefix(AVERAGE, tensors))
        load_state(self.last, state.model, without_prefix(MODEL, tensors))
        state.update.load_state(without_prefix(UPDATE, tensors))
        GeneratorState.from_tensors(without_prefix(GENERATORS, tensors)).restore()
        return progress

    def _progress(self, content: dict[str, object]) -> Progress:
        if "progress" not in content:
            raise FileFormatError(
                describe(
                    expected=f"{self.last} to be the state of a training run",
                    found="only weights",
                    fix="start a new run from these weights in another folder",
                )
            )
        return from_plain(Progress, content["progress"], "progress")

    def _require_same_blueprint(self, content: dict[str, object]) -> None:
        for name, asked in asdict(self.blueprint).items():
            later = name in {"fidelity", "modules"}  # not in files of earlier versions
            if content.get(name, asked if later else None) != asked:
                raise FileFormatError(
                    describe(
                        expected=f"{self.last} to be of the {name} {asked}",
                        found=f"{content.get(name)}",
                        fix=f"resume with the same {name}, or train in another folder",
                    )
                )

    def _load_average(self, average: MovingAverage | None, found: dict[str, Tensor]) -> None:
        expected = {} if average is None else average.weights
        require_match(self.last, expected=expected, found=found)
        require_finite(self.last, found)
        for name, weights in expected.items():
            weights.copy_(found[name])
