"""Which lines of which files every test runs, and how long it takes.

python lines.py FOLDER REQUEST OUTPUT

REQUEST is {"files": watched ones, relative to FOLDER, "tests": arguments of pytest}, OUTPUT what
:class:`TestRun` says of every test that passes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CodeType, FrameType

OPTIONS = ("-q", "-n", "0", "-m", "not slow", "-p", "no:cacheprovider")


class TestRun(NamedTuple):
    """What one test did.

    Attributes:
        seconds: of the processor, while it was watched.
        lines: Numbers of the lines in functions that it ran, by file.
    """

    seconds: float
    lines: dict[str, list[int]]


class Recorder:
    """A plugin of pytest that watches the lines of some files, one test at a time.

    Args:
        folder: Repository, absolute.
        files: Watched files, relative to it.
    """

    def __init__(self, folder: Path, files: list[str]) -> None:
        self.names = {str(folder / file): file for file in files}
        self.runs: dict[str, TestRun] = {}
        self._lines: dict[CodeType, set[int]] = {}
        self._every: dict[CodeType, set[int]] = {}
        self._told_nothing: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Watches a test with its fixtures."""
        self._lines, begun = {}, time.process_time()
        sys.settrace(self._enter)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            if item.nodeid not in self._told_nothing:
                self.runs[item.nodeid] = TestRun(time.process_time() - begun, self._by_file())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails or is skipped as things are tells nothing of a change."""
        if not report.passed:
            self._told_nothing.add(report.nodeid)

    def _by_file(self) -> dict[str, list[int]]:
        lines: dict[str, set[int]] = {}
        for code, numbers in self._lines.items():
            if code.co_name != "<module>":
                lines.setdefault(self.names[code.co_filename], set()).update(numbers)
        return {file: sorted(numbers) for file, numbers in lines.items()}

    def _enter(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if event != "call" or code.co_filename not in self.names:
            return None
        numbers = self._lines.setdefault(code, set())
        if code not in self._every:
            every = {line for _, _, line in code.co_lines() if line}
            self._every[code] = every - {code.co_firstlineno} or every
        if numbers >= self._every[code]:
            return None

        def line(frame: FrameType, event: str, _: object) -> Any:
            if event == "line":
                numbers.add(frame.f_lineno)
            return line

        return line


def main() -> None:
    """Runs tests and writes what they ran."""
    folder = Path(sys.argv[1]).resolve()
    request = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    sys.path[0] = str(folder / "src")
    os.chdir(folder)
    recorder = Recorder(folder, request["files"])
    pytest.main([*OPTIONS, *request["tests"]], plugins=[recorder])
    Path(sys.argv[3]).write_text(json.dumps(recorder.runs), encoding="utf-8")


if __name__ == "__main__":
    main()
