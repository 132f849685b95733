from __future__ import annotations

import builtins
import io
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from learnedrecon.errors import FileFormatError, MissingExtraError
from learnedrecon.training.loggers import JsonLines, Log, RichProgress, TensorBoard

if TYPE_CHECKING:
    from pathlib import Path


def fill(path: Path, steps: range) -> JsonLines:
    log = JsonLines(path)
    log.begin(step=steps.start, steps=100)
    for step in steps:
        log.write({"step": step + 1, "event": "train", "loss": 1 / (step + 1)})
    log.end()
    return log


def test_numbers_come_back_exactly(tmp_path: Path) -> None:
    log = fill(tmp_path / "metrics.jsonl", range(9))
    assert [record["loss"] for record in log.read()] == [1 / (k + 1) for k in range(9)]


def test_later_steps_are_dropped_when_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    fill(path, range(9))
    before = path.read_text().splitlines(keepends=True)
    log = fill(path, range(5, 7))
    assert [record["step"] for record in log.read()] == [1, 2, 3, 4, 5, 6, 7]
    assert path.read_text().splitlines(keepends=True) == before[:7]


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_line_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "metrics.jsonl"
    log = fill(path, range(4))
    path.write_bytes(path.read_bytes()[:-cut])
    assert [record["step"] for record in log.read()] == [1, 2, 3]
    fill(path, range(4, 6))
    assert [record["step"] for record in log.read()] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    "line",
    ['{"step": 2, "lo\n', "[1]\n", '{"loss": 1}\n', "\n", "7\n", 100_000 * "[" + "\n"],
    ids=["cut", "list", "no step", "empty", "number", "deep"],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + line + '{"step": 3}\n')
    for use in (JsonLines(path).read, lambda: JsonLines(path).begin(step=3, steps=9)):
        with pytest.raises(FileFormatError, match=r"line 2 of .*metrics\.jsonl"):
            use()


def test_infinity_is_null(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "metrics.jsonl")
    log.begin(step=0, steps=1)
    log.write({"step": 1, "psnr": math.inf, "loss": float("nan")})
    log.flush()
    assert json.loads(log.path.read_text()) == {"step": 1, "psnr": None, "loss": None}
    log.end()


class Notes:
    """A logger that notes what is asked of it."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.calls: list[Any] = []

    def begin(self, *, step: int, steps: int) -> None:
        if self.broken:
            message = "no space"
            raise OSError(message)
        self.calls.append(("begin", step, steps))

    def write(self, record: dict[str, Any]) -> None:
        self.calls.append(record)

    def flush(self) -> None:
        self.calls.append("flush")

    def end(self) -> None:
        self.calls.append("end")


def test_every_logger_gets_every_record_and_is_closed() -> None:
    one, two = Notes(), Notes()
    with Log([one, two], step=3, steps=8) as log:
        log.write("train", 4, {"loss": 0.5})
        log.flush()
    assert one.calls[0] == ("begin", 3, 8)
    record = one.calls[1]
    assert record == {"step": 4, "event": "train", "loss": 0.5, "seconds": record["seconds"]}
    assert one.calls[2:] == ["flush", "end"]
    assert two.calls == one.calls


def test_what_was_opened_is_closed_after_an_error() -> None:
    one = Notes()
    with pytest.raises(OSError, match="space"), Log([one, Notes(broken=True)], step=0, steps=1):
        pass
    assert one.calls == [("begin", 0, 1), "end"]


def printed(*, terminal: bool, every: float = 30.0) -> str:
    text = io.StringIO()
    progress = RichProgress(
        Console(file=text, force_terminal=terminal, width=100, color_system=None), every=every
    )
    progress.begin(step=100, steps=200)
    for k in range(1, 101):
        progress.write({"step": 100 + k, "event": "train", "loss": 1 / k, "seconds": 10.0 * k})
        if k == 50:
            progress.write(
                {"step": 150, "event": "validation", "psnr": 31.416, "seconds": 10.0 * k}
            )
    progress.flush()
    progress.end()
    return text.getvalue()


def test_lines_now_and_then_without_a_terminal() -> None:
    lines = printed(terminal=False, every=300.0).splitlines()
    assert lines[0] == "step 101/200  loss 1.000e+00  0:16:30 left"
    assert lines[1] == "step 131/200  loss 3.226e-02  0:11:30 left"
    assert lines[2] == "step 161/200  loss 1.639e-02  PSNR 31.42 dB  0:06:30 left"
    assert lines[-1] == "step 200/200  loss 1.000e-02  PSNR 31.42 dB  0:00:00 left"
    assert len(lines) == 5


def test_the_last_step_is_printed_once_with_its_validation() -> None:
    text = io.StringIO()
    progress = RichProgress(Console(file=text, width=100), every=1e9)
    progress.begin(step=0, steps=2)
    progress.write({"step": 1, "event": "validation", "psnr": 20.0, "seconds": 1.0})
    progress.write({"step": 2, "event": "train", "loss": 0.5, "seconds": 2.0})
    progress.write({"step": 2, "event": "validation", "psnr": 21.0, "seconds": 2.0})
    progress.end()
    progress.end()
    assert text.getvalue().splitlines() == [
        "step 1/2  PSNR 20.00 dB  0:00:01 left",
        "step 2/2  loss 5.000e-01  PSNR 21.00 dB  0:00:00 left",
    ]


def test_a_bar_in_a_terminal() -> None:
    text = printed(terminal=True)
    assert "200/200" in text
    assert "loss 1.000e-02" in text
    assert "PSNR 31.42 dB" in text


def test_tensorboard_has_the_numbers(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    board = TensorBoard(tmp_path)
    for start, stop in ((0, 6), (4, 8)):
        board.begin(step=start, steps=8)
        for step in range(start, stop):
            board.write({"step": step + 1, "event": "train", "loss": 2.0**-step, "seconds": 1.0})
        board.flush()
        board.end()
    events = event_accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    found = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert found == [(step + 1, 2.0**-step) for step in range(8)]


def test_without_tensorboard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if "tensorboard" in name:
            message = f"No module named '{name}'"
            raise ImportError(message)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'learnedrecon\[tensorboard\]'"):
        TensorBoard(tmp_path)
