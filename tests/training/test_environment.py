"""The commit is found without running what the repository names."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from learnedrecon.training.environment import decisive, environment

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *words: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(
        ["git", *author, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a commit of one file."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "file.txt").write_text("one\n")
    (folder / ".gitattributes").write_text("*.txt filter=evil\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    (folder / "inside").mkdir()
    monkeypatch.chdir(folder / "inside")
    return folder


def test_the_commit_and_whether_files_differ_from_it(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert environment()["git"] == {"commit": commit, "modified": False}
    (repository / "new.txt").write_text("not tracked")
    assert environment()["git"] == {"commit": commit, "modified": False}
    (repository / "file.txt").write_text("two\n")
    assert environment()["git"] == {"commit": commit, "modified": True}
    git(repository, "add", "file.txt")
    assert environment()["git"] == {"commit": commit, "modified": True}


@pytest.mark.parametrize("how", ["packed", "detached", "linked"])
def test_the_commit_wherever_git_keeps_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "packed":
        git(repository, "pack-refs", "--all")
    elif how == "detached":
        git(repository, "checkout", "-q", "--detach")
    else:
        git(repository, "worktree", "add", "-q", "-b", "other", "../linked")
        monkeypatch.chdir(repository.parent / "linked")
    commit = git(repository, "rev-parse", "HEAD")
    assert environment()["git"] == {"commit": commit, "modified": False}


def test_a_repository_runs_no_code(repository: Path) -> None:
    """Neither monitors, nor filters, nor hooks that its configuration names."""
    bad = repository.parent / "bad"
    touch = f"touch {bad}; cat"
    git(repository, "config", "core.fsmonitor", f"{touch}; false")
    git(repository, "config", "filter.evil.clean", touch)
    hooks = repository.parent / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / name).chmod(0o755)
    git(repository, "config", "core.hooksPath", str(hooks))
    bad.unlink(missing_ok=True)
    os.utime(repository / "file.txt", (1, 1))
    found = environment()["git"]
    assert found is not None
    assert found["modified"] is False
    assert not bad.exists()
    git(repository, "status")
    assert bad.exists(), "the configuration of this test names no code"


def test_without_git_the_commit_is_still_known(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(repository))
    assert environment()["git"] == {"commit": commit, "modified": None}


@pytest.mark.parametrize("head", ["", "ref: refs/heads/missing", "ref: HEAD", "ref: ../../secret"])
def test_a_broken_repository_has_no_commit(repository: Path, head: str) -> None:
    (repository / "secret").write_text("no commit")
    (repository / ".git" / "HEAD").write_text(head)
    assert environment()["git"] is None


def test_outside_of_a_repository_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment()["git"] is None


def test_what_decides_the_last_bits() -> None:
    found = decisive(environment())
    assert {"threads", "instruction_set", "packages"} <= found.keys()
    assert not {"git", "platform"} & found.keys()
