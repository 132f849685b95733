"""The folder of a run: what was asked, where it ran, how it went, and the weights.

config.yaml        what was asked
environment.json   versions of packages, the machine, the commit
metrics.jsonl      one record on each line
checkpoints/       last.safetensors to go on from, best.safetensors to reconstruct with
figures/           for whoever draws some
.lock              the process that writes here, while it does
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import yaml

from learnedrecon.errors import ConfigError, FileFormatError, describe
from learnedrecon.files import write_text
from learnedrecon.training.environment import environment
from learnedrecon.training.lock import FolderLock
from learnedrecon.training.loggers import JsonLines
from learnedrecon.training.state import Checkpoints

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from learnedrecon.weights.checkpoint import Blueprint


class RunFolder:
    """One run on the disk; :meth:`start` makes or continues it.

    ``lock`` keeps other processes out. :meth:`start` takes it, and
    :func:`learnedrecon.training.loop.train` gives it back at its end, as does
    the end of the object or of the process.

    Args:
        path: of the folder.
        blueprint: of the model that is trained.
    """

    def __init__(self, path: str | os.PathLike[str], blueprint: Blueprint) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.figures = self.path / "figures"
        self.metrics = JsonLines(self.path / "metrics.jsonl")
        self.checkpoints = Checkpoints(self.path / "checkpoints", blueprint)
        self.lock = FolderLock(self.path)

    @classmethod
    def start(
        cls,
        path: str | os.PathLike[str],
        *,
        config: Mapping[str, Any],
        blueprint: Blueprint,
        overwrite: bool = False,
        exclusive: bool = True,
    ) -> Self:
        """Makes the folder, or opens that of an unfinished run of the same configuration.

        Args:
            path: of the folder; made where it is missing.
            config: what was asked, as plain data.
            blueprint: of the model that is trained.
            overwrite: begin anew, even if a finished or different run is there. Its checkpoints and
                metrics are removed; nothing else is.
            exclusive: take the lock; in a distributed run the main process alone does.

        Raises:
            ConfigError: there is a finished run, or one of another configuration; or files of
                these names that no run wrote; or another process is writing there.
            FileFormatError: the folder cannot be written, or holds broken files.
        """
        run = cls(path, blueprint)
        asked = json.loads(json.dumps(config, allow_nan=False))
        if exclusive:
            run.lock.acquire()
        try:
            run._prepare(asked, overwrite=overwrite)
        except BaseException:
            run.lock.release()
            raise
        return run

    def _prepare(self, asked: dict[str, Any], *, overwrite: bool) -> None:
        self._refuse_files_of_others()
        if self.config.exists() and not overwrite:
            self._require_continuable(asked)
        for folder in (self.figures, self.checkpoints.last.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        write_text(self.environment, json.dumps(environment(), indent=2) + "\n")
        write_text(self.config, yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
        if overwrite:
            self._clear()

    def _refuse_files_of_others(self) -> None:
        """Refuses a folder with files of these names and without ``checkpoints/``: no run's."""
        files = (self.config, self.metrics.path, self.environment)
        found = [file.name for file in files if file.exists()]
        if found and not self.checkpoints.last.parent.is_dir():
            raise ConfigError(
                describe(
                    expected=f"an empty folder or that of a run in {self.path}",
                    found=f"{', '.join(found)} without checkpoints/, which no run wrote",
                    fix="choose another folder",
                )
            )

    def _require_continuable(self, asked: dict[str, Any]) -> None:
        try:
            written = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise FileFormatError(
                describe(
                    expected=f"{self.config} to be readable YAML",
                    found=str(error),
                    fix="choose another folder, or overwrite the run (--fresh)",
                )
            ) from error
        if found := differences(written, asked):
            raise ConfigError(
                describe(
                    expected=f"the configuration with which {self.path} was begun",
                    found="; ".join(
                        f"{where} is {new!r} and was {old!r}" for where, old, new in found[:3]
                    ),
                    fix="choose another folder, or overwrite the run (--fresh)",
                )
            )
        progress = self.checkpoints.progress()
        if progress is not None and progress.finished:
            raise ConfigError(
                describe(
                    expected=f"no finished run in {self.path}",
                    found=f"one that did all its {progress.step} steps",
                    fix="to train on from its weights, name another folder and more steps: "
                    f"learnedrecon train CONFIG -o NEW --weights {self.path} --set "
                    "training.steps=N; to begin anew, overwrite the run (--fresh)",
                )
            )

    def _clear(self) -> None:
        for file in (self.checkpoints.last, self.checkpoints.best, self.metrics.path):
            file.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Removes what killed writes left; see :func:`learnedrecon.files.atomic_path`."""
        for target in (
            self.checkpoints.last,
            self.checkpoints.best,
            self.config,
            self.environment,
        ):
            for leftover in target.parent.glob(f".{target.stem}-*{target.suffix}"):
                leftover.unlink(missing_ok=True)


class Difference(NamedTuple):
    """A value that differs, None where one side has not got it.

    Attributes:
        where: the path of keys.
        first: the value there.
        second: that of the other.
    """

    where: str
    first: Any
    second: Any


def differences(first: Any, second: Any, where: str = "") -> list[Difference]:  # noqa: ANN401 (plain data)
    """Every value in which two pieces of plain data differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        keys = [*first, *(key for key in second if key not in first)]
        return [
            found
            for key in keys
            for found in differences(
                first.get(key), second.get(key), f"{where}.{key}" if where else str(key)
            )
        ]
    return [] if first == second else [Difference(where, first, second)]
