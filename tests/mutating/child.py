"""Runs tests in forked children, in a copy of the repository in which one file is changed.

    python child.py FOLDER fresh
    python child.py FOLDER collected TESTS...

Reads lines of JSON and answers each with {"code": 0 if all tests pass, 1 if one fails, 2 if there
was none, minus the number of a signal, "failed": the first that failed, or the one that ran,
"started": all before it}.

The fresh one imports torch alone before it forks, and every child the library and its tests; a
request is {"tests": ids or files, "without": ids, "seconds": of all tests, "each": of one}. When
all are used up the tests so far stand for all; when those of one are, a signal ends the child. The
collected one imports and collects all TESTS before it forks, and a child puts new code into the
functions of one file: 50 times as fast, for changes within functions. Its requests have "file",
relative to FOLDER, and "source", the changed text.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

Answer: TypeAlias = "Callable[[dict[str, Any]], tuple[int, str]]"
OPTIONS = ("-q", "-n", "0", "-m", "not slow", "-p", "no:cacheprovider")
ALARM = 100
"""How many times the limit of processor time may pass on a busy machine."""
IMPORTS = 10.0
"""Seconds for importing the library anew, which a test may do."""
SLOW = ("compile", "export")
"""Words in the names of tests that are left out where a whole file is asked for."""
PASSED, FAILED, NONE = 0, 1, 2
UNPATCHED = 7


class First:
    """A plugin of pytest that notes the first failure, and limits the time of every test."""

    failed = ""
    each = 60.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Says which test runs, in case it does not end."""
        self.say(nodeid)
        signal.setitimer(signal.ITIMER_PROF, self.each)

    def say(self, text: str) -> None:
        """Writes a line that the last process to be asked reads."""
        os.write(self.pipe, f"{text}\n".encode())

    pipe = -1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails."""
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed:
            self.failed = self.failed or report.nodeid


class Chosen(First):
    """A plugin of pytest that keeps some tests, in a given order.

    Args:
        tests: Their ids, or files for all of theirs.
        without: Ids of those that are left out.
    """

    def __init__(self, tests: list[str], without: list[str]) -> None:
        self.places = {test: n for n, test in enumerate(tests)}
        self.without = without

    def _place(self, item: pytest.Item) -> int | None:
        by_file = self.places.get(item.nodeid.split("::")[0])
        return self.places.get(item.nodeid, by_file)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drops the others."""
        places = [(self._place(item), item) for item in items if item.nodeid not in self.without]
        kept = [(place, item) for place, item in places if place is not None]
        items[:] = [item for _, item in sorted(kept, key=lambda each: each[0])]


class Collected(First):
    """A plugin of pytest that runs what it is asked for, in children of its own.

    Args:
        folder: Repository.
        serve: Answers every request by a function from it to an exit code and a failed test.
    """

    def __init__(self, folder: Path, serve: Callable[[Answer], None]) -> None:
        self.folder, self.serve = folder, serve
        self.items: dict[str, list[pytest.Item]] = {}
        self.functions: dict[str, list[FunctionType]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of the loop over all tests."""
        for item in session.items:
            self.items[item.nodeid] = [item]
            if not any(word in item.nodeid for word in SLOW):
                self.items.setdefault(item.nodeid.split("::")[0], []).append(item)
        for each in gc.get_objects():
            if type(each) is FunctionType:
                self.functions[each.__code__.co_filename].append(each)
        self.serve(self.answer)
        return True

    def answer(self, request: dict[str, Any]) -> tuple[int, str]:
        """Runs tests until one fails, with new code where some is given."""
        if "source" in request:
            path = self.folder / request["file"]
            if not patched(path, request["source"], self.functions[str(path)]):
                return UNPATCHED, ""
        self.each, self.pipe = request["each"], request["pipe"]
        items = [item for test in request["tests"] for item in self.items.get(test, [])]
        items = [item for item in items if item.nodeid not in request["without"]]
        begun = time.process_time()
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() - begun > request["seconds"]:
                break
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return FAILED, self.failed
        return (PASSED if items else NONE), ""


def patched(path: Path, source: str, functions: list[FunctionType]) -> bool:
    """Puts the code of a changed source into the functions of a file, if that is all it takes."""
    before = _functions(compile(path.read_text(encoding="utf-8"), str(path), "exec"))
    after = _functions(compile(source, str(path), "exec"))
    if {name: len(codes) for name, codes in before.items()} != {
        name: len(codes) for name, codes in after.items()
    }:
        return False
    for function in functions:
        name, line = function.__code__.co_qualname, function.__code__.co_firstlineno
        place = [code.co_firstlineno for code in before[name]].index(line)
        if function.__code__.co_freevars != after[name][place].co_freevars:
            return False
        function.__code__ = after[name][place]
    return bool(functions)


def _functions(code: CodeType) -> dict[str, list[CodeType]]:
    """The code objects of a module by qualified name, in their order."""
    found: dict[str, list[CodeType]] = defaultdict(list)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found[each.co_qualname].append(each)
            for name, codes in _functions(each).items():
                found[name] += codes
    return found


def fresh(request: dict[str, Any]) -> tuple[int, str]:
    """Runs tests until one fails, after importing everything."""
    chosen = Chosen(request["tests"], request["without"])
    chosen.each, chosen.pipe = request["each"] + IMPORTS, request["pipe"]
    files = dict.fromkeys(test.split("::")[0] for test in request["tests"])
    code = int(pytest.main(["-x", *OPTIONS, *files], plugins=[chosen]))
    return (NONE if code > FAILED and not chosen.failed else code), chosen.failed


def serve(answer: Answer) -> None:
    """Answers every line in a child, within its limit of time."""
    for line in REQUESTS:
        there, here = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(there)
            os._exit(_within(json.loads(line), answer, here))
        os.close(here)
        with os.fdopen(there, encoding="utf-8") as result:
            *started, failed = ["", *result.read().splitlines()]
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        ANSWERS.write(json.dumps({"code": code, "failed": failed, "started": started}) + "\n")
        ANSWERS.flush()


def _within(request: dict[str, Any], answer: Answer, pipe: int) -> int:
    limit = math.ceil(2 * request["seconds"] + request["each"])
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    signal.alarm(ALARM * limit)
    code, failed = answer({**request, "pipe": pipe})
    os.write(pipe, f"{failed}\n".encode())
    return code


def main(folder: Path, kind: str, tests: list[str]) -> None:
    """Serves requests, with the library of a folder."""
    sys.dont_write_bytecode = True  # whose times are too coarse to tell changes
    sys.path[0] = str(folder / "src")
    os.chdir(folder)
    for name in ("torch", "scipy.stats", "skimage", "pydantic"):
        importlib.import_module(name)
    if kind == "fresh":
        serve(fresh)
    else:
        base = f"--basetemp={folder / 'temporary'}"
        pytest.main([*OPTIONS, base, *tests], plugins=[Collected(folder, serve)])


if __name__ == "__main__":
    REQUESTS = os.fdopen(os.dup(0), encoding="utf-8")
    ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:])
