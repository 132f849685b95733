"""Run folders: configuration, environment, metrics and checkpoints.

config.yaml        the configuration
environment.json   package versions, the machine, the commit; those of earlier sessions
metrics.jsonl      one record per line
checkpoints/       last.safetensors to continue from, best.safetensors to reconstruct with
figures/           figures of curves and images
.lock              lock of the process that writes to the folder
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from learnedrecon.data.yaml_text import dump_yaml, read_yaml
from learnedrecon.errors import ConfigError, describe
from learnedrecon.files import remove_leftovers, write_text, writing
from learnedrecon.training.environment import decisive, environment
from learnedrecon.training.inputs import data_digests
from learnedrecon.training.lock import FolderLock
from learnedrecon.training.loggers import JsonLines
from learnedrecon.training.longer import OF_LENGTH, is_longer, longer_text, steps_of
from learnedrecon.training.processes import by_one
from learnedrecon.training.state import Checkpoints

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from learnedrecon.specs import Plain
    from learnedrecon.weights.checkpoint import Blueprint

_LOG = logging.getLogger(__name__)

_ASIDE = ".learnedrecon-aside-"

UNIMPORTANT = (
    "data.workers",
    "data.mismatch",
    "evaluation.images",
    "training.checkpoint",
    "training.log_every",
)
"""Values of a configuration on which the weights of a run do not depend, as paths of keys."""


class RunFolder:
    """A run folder; :meth:`start` creates or continues it.

    ``lock`` excludes other processes. :meth:`start` takes it, and
    :func:`learnedrecon.training.loop.train` releases it at its end, as does the end of the object
    or of the process.

    Args:
        path: Path of the folder.
        blueprint: Blueprint of the model that is trained.
    """

    def __init__(self, path: str | os.PathLike[str], blueprint: Blueprint) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.figures = self.path / "figures"
        self.metrics = JsonLines(self.path / "metrics.jsonl")
        self.checkpoints = Checkpoints(self.path / "checkpoints", blueprint)
        self.lock = FolderLock(self.path)
        self._texts: dict[Path, str] = {}

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
        """A new run folder, or that of an unfinished run, or one with more steps.

        The keys in :data:`UNIMPORTANT` may differ between two sessions of a run, as they change no
        weight. Such a change, other data files and another environment are logged. A run may be
        given more steps, see :mod:`learnedrecon.training.longer`. A run without weights is started
        again, independent of its configuration.

        Args:
            path: Path of the folder, created if missing.
            config: Configuration as plain data.
            blueprint: Blueprint of the model that is trained.
            overwrite: True to start again, even if there is a finished or different run. Its
                checkpoints and metrics are removed first, and nothing else.
            exclusive: True if this process takes the lock and writes; in a distributed run only the
                main process does, and the others wait for it.

        Raises:
            ConfigError: There is a run with all steps that are asked for, one of another
                configuration, or files of these names that no run wrote; or another process writes
                there.
            FileFormatError: The folder cannot be written, or contains broken files.
        """
        run = cls(path, blueprint)
        asked = json.loads(json.dumps(config, allow_nan=False))

        def prepare() -> None:
            run.lock.acquire()
            try:
                run._prepare(asked, overwrite=overwrite)
            except BaseException:
                run.lock.release()
                raise

        by_one(prepare, main=exclusive)
        return run

    def restore(self) -> None:
        """Writes the folder again where it was removed, so that the run can end in it.

        Raises:
            ConfigError: Another process has started a run there.
            FileFormatError: The folder cannot be written.
        """
        if not self._texts or self.config.exists():
            return
        self.figures.mkdir(parents=True, exist_ok=True)
        self.lock.renew()
        for file, text in self._texts.items():
            write_text(file, text)
        _LOG.warning("%s was removed while the run was going on, and is written again.", self.path)

    def _prepare(self, asked: dict[str, Any], *, overwrite: bool) -> None:
        self._refuse_files_of_others()
        with self._cleared() if overwrite else nullcontext():
            self._write(asked)

    def _write(self, asked: dict[str, Any]) -> None:
        self.checkpoints.data = data_digests(asked)
        if self.checkpoints.last.exists() or self.checkpoints.best.exists():
            self._require_continuable(asked)
        if self.checkpoints.last.exists():
            self._tell_what_changed(asked)
        for folder in (self.figures, self.checkpoints.last.parent):
            folder.mkdir(parents=True, exist_ok=True)
        config = dump_yaml(asked)
        record = json.dumps(self._sessions(), indent=2) + "\n"
        self._texts = {self.environment: record, self.config: config}
        for file in (self.checkpoints.last, self.checkpoints.best, *self._texts):
            remove_leftovers(file)
        for file, text in self._texts.items():
            write_text(file, text)

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
        written = read_yaml(self.config)
        progress = self.checkpoints.progress()
        longer = progress is not None and is_longer(asked, progress.step)
        allowed = (*UNIMPORTANT, *(OF_LENGTH if longer else ()))
        found = [each for each in differences(written, asked) if not _within(each.where, allowed)]
        if found:
            raise ConfigError(
                describe(
                    expected=f"the configuration with which {self.path} was begun",
                    found="; ".join(
                        f"{where} is {new!r} and was {old!r}" for where, old, new in found[:3]
                    ),
                    fix="choose another folder, or overwrite the run (--fresh)",
                )
            )
        if progress is not None and progress.finished and not longer:
            raise ConfigError(
                describe(
                    expected=f"no finished run in {self.path}",
                    found=f"one that did all its {progress.step} steps",
                    fix="for more steps give the same command with --set training.steps=N, N > "
                    f"{progress.step}; to start again, overwrite the run (--fresh); to train "
                    f"another with its weights, use -o NEW --weights {self.path}",
                )
            )

    def _tell_what_changed(self, asked: dict[str, Any]) -> None:
        """Logs what is another than in the session before, and what that does to the result."""
        written = read_yaml(self.config)
        for where, old, new in differences(written, asked):
            _LOG.info("The run goes on with %s %r in place of %r.", where, new, old)
        steps, progress = steps_of(written), self.checkpoints.progress()
        if steps != steps_of(asked) and steps is not None and progress is not None:
            _LOG.info(longer_text(asked, steps, progress.step))
        for name, (before, now) in self.checkpoints.data_changed().items():
            _LOG.warning(
                "The files of 'data.%s' are not those with which the run was saved: %d files, of "
                "other names or sizes, and %d before. It goes on with those that are there now, "
                "to another result than an undisturbed run.",
                name,
                now.files,
                before.files,
            )
        for where, old, new in differences(decisive(self._environment()), decisive(environment())):
            _LOG.warning(
                "The run goes on with %s %r in place of %r: its numbers will differ in the last "
                "bits from those of an undisturbed run.",
                where,
                new,
                old,
            )

    def _environment(self) -> dict[str, Any]:
        """The record of the previous session; that of this one if there is none."""
        try:
            found = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else environment()

    def _sessions(self) -> dict[str, Any]:
        """The present environment, and as ``earlier`` the different ones of earlier sessions."""
        now = environment()
        if not self.checkpoints.last.exists():
            return now
        before = self._environment()
        earlier = before.pop("earlier", [])
        if before != now:
            earlier = [*earlier, before]
        return {**now, "earlier": earlier} if earlier else now

    @contextmanager
    def _cleared(self) -> Iterator[None]:
        """Without the run that is there; it comes back if what is done inside fails.

        The state is put aside first: without it the rest is no run to go on with, so that being
        killed in between mixes no two runs.
        """
        files = (self.checkpoints.last, self.checkpoints.best, self.metrics.path)
        aside = {file: file.with_name(f"{_ASIDE}{file.name}") for file in files if file.exists()}
        for file, other in aside.items():
            with writing(file):
                file.replace(other)
        try:
            yield
        except Exception:
            for file, other in aside.items():
                other.replace(file)
            raise
        for file in files:
            file.with_name(f"{_ASIDE}{file.name}").unlink(missing_ok=True)


def _within(where: str, names: tuple[str, ...]) -> bool:
    return any(where == name or where.startswith(f"{name}.") for name in names)


class Difference(NamedTuple):
    """One difference between two pieces of plain data; None where a side has no value.

    Attributes:
        where: Path of keys.
        first: Value in the first.
        second: Value in the second.
    """

    where: str
    first: Any
    second: Any


def differences(first: Plain, second: Plain, where: str = "") -> list[Difference]:
    """All differences between two pieces of plain data.

    Args:
        first: Plain data.
        second: Plain data.
        where: Path of keys to both, for nested data.
    """
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
