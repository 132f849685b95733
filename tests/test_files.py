"""Files are whole or not there: crashes, full disks, folders that cannot be written."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from learnedrecon.errors import ConfigError, FileFormatError
from learnedrecon.files import atomic_path, plan_outputs, remove_leftovers, write_text


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text("old", encoding="utf-8")
    return path


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_the_new_file_replaces_the_old_one(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
        assert temporary.parent == target.parent
        assert temporary.suffix == target.suffix
    assert target.read_text(encoding="utf-8") == "new"
    assert leftovers(target) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_crash_keeps_the_old_file(target: Path, error: type[BaseException]) -> None:
    def crash() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half of the n", encoding="utf-8")
            raise error

    with pytest.raises(error):
        crash()
    assert target.read_text(encoding="utf-8") == "old"
    assert leftovers(target) == []


def test_a_crash_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.json"
    with pytest.raises(RuntimeError), atomic_path(target):
        raise RuntimeError
    assert list(target.parent.iterdir()) == []


def test_folders_are_made(tmp_path: Path) -> None:
    write_text(str(tmp_path / "a" / "b" / "c.txt"), "Λ")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "Λ".encode()


def refuse(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))


def test_a_full_disk_while_writing(target: Path) -> None:
    with (
        pytest.raises(FileFormatError, match=r"model\.json.*No space left.*free space"),
        atomic_path(target),
    ):
        refuse(errno.ENOSPC)
    assert target.read_text(encoding="utf-8") == "old"
    assert leftovers(target) == []


def test_a_full_disk_while_flushing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: refuse(errno.ENOSPC))
    with pytest.raises(FileFormatError, match="No space left"):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "old"
    assert leftovers(target) == []


def test_a_read_only_folder(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: refuse(errno.EACCES))
    with pytest.raises(FileFormatError, match=r"Permission denied.*change its permissions"):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "old"


def test_a_file_where_a_folder_should_be(target: Path) -> None:
    with pytest.raises(FileFormatError, match="inside"):
        write_text(target / "inside.txt", "new")


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileFormatError, match="taken"):
        write_text(tmp_path / "taken", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_data_are_on_the_disk_before_the_rename_and_the_folder_after_it(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, rename = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        assert target.read_text(encoding="utf-8") == ("new" if folder else "old")
        order.append("flush the folder" if folder else "flush")
        flush(handle)

    def replace(self: Path, other: Path) -> Path:
        order.append("rename")
        return rename(self, other)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_text(target, "new")
    assert order == ["flush", "rename", "flush the folder"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "x.txt", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o640


def test_two_writers_do_not_meet(target: Path) -> None:
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_text("first", encoding="utf-8")
        second.write_text("second", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "first"
    assert leftovers(target) == []


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """The names of users' own hidden files resemble those of temporary files."""
    target = tmp_path / "last.safetensors"
    with atomic_path(target) as temporary:
        left = temporary
    target.unlink()
    left.write_text("half")
    mine = [
        ".last-mine.safetensors",
        ".last-abcdefgh.safetensors",
        ".learnedrecon-last-notes.safetensors",
        ".learnedrecon-last-abcdefgh.txt",
        ".learnedrecon-best-abcdefgh.safetensors",
        "last.safetensors",
    ]
    for name in mine:
        (tmp_path / name).write_text("mine")
    remove_leftovers(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(mine)
    remove_leftovers(tmp_path / "missing" / "last.safetensors")


def refused(match: str, *outputs: Path, **options: Any) -> None:
    """By the rule of outputs, and with nothing changed."""
    before = {path: path.read_bytes() for path in outputs if path.is_file()}
    with pytest.raises(ConfigError, match=match):
        plan_outputs(outputs, **options)
    assert before == {path: path.read_bytes() for path in outputs if path.is_file()}


@pytest.mark.parametrize("force", [False, True])
def test_no_output_is_an_input(tmp_path: Path, *, force: bool) -> None:
    config, link = tmp_path / "config.yaml", tmp_path / "link.yaml"
    config.write_text("mine")
    link.symlink_to(config)
    for path in (config, link, tmp_path / "missing" / ".." / "config.yaml"):
        refused("another file than the input", path, inputs=[config], force=force)
    refused("another file than the input", config, inputs=[link], force=force)
    refused("another file than the input", config, inputs=[config], own=[config], force=force)
    hard = tmp_path / "hard.yaml"
    hard.hardlink_to(config)
    refused("another file than the input", hard, inputs=[config], force=force)


@pytest.mark.parametrize("force", [False, True])
def test_what_a_folder_that_is_read_holds_is_input(tmp_path: Path, *, force: bool) -> None:
    weights = tmp_path / "run" / "checkpoints" / "best.safetensors"
    write_text(weights, "weights")
    write_text(tmp_path / "run" / "results.json", "{}")
    inputs = [tmp_path / "run"]
    refused("another file than the input", weights, inputs=inputs, force=force)
    new = tmp_path / "run" / "new.json"
    assert plan_outputs([str(new)], inputs=inputs, force=force) == (new,)
    own = [tmp_path / "run" / "results.json", tmp_path / "run" / "results.png"]
    assert plan_outputs(own, inputs=inputs, own=own, force=force) == tuple(own)


def test_other_files_are_overwritten_with_force_alone(target: Path) -> None:
    refused(r"no file at .*model\.json\. Found one\..*--force", target)
    assert plan_outputs([target], force=True) == (target,)
    assert plan_outputs([target], own=[target]) == (target,)


@pytest.mark.parametrize("force", [False, True])
def test_two_results_are_two_files(tmp_path: Path, *, force: bool) -> None:
    one = tmp_path / "r.png"
    refused("two results for .*r.png.*another ending", one, one, force=force)
    refused("two results", one, tmp_path / "." / "x" / ".." / "r.png", force=force)


@pytest.mark.parametrize("force", [False, True])
def test_folders_and_devices_are_no_outputs(tmp_path: Path, *, force: bool) -> None:
    refused("Found a folder", tmp_path, force=force)
    refused("Found a device", Path(os.devnull), force=force)
    (tmp_path / "file").write_text("")
    refused("a folder at .*file. Found a file", tmp_path / "file" / "inside", force=force)
