"""Two processes: one writes, both begin and end together, with the same weights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TIMES = 10


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def variables_of(rank: int, port: int) -> dict[str, str]:
    """The environment of one of two processes, as torchrun sets it."""
    return os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.slow
def test_two_processes_begin_and_end_a_run_ten_times(tmp_path: Path) -> None:
    script = Path(__file__).with_name("two_processes.py")
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), str(TIMES)],
            env=variables_of(rank, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in started]
    for _, errors, code in ended:
        assert code == 0, errors
        assert "terminate called" not in errors
    lines = [output.splitlines() for output, _, _ in ended]
    assert lines[0] == lines[1]
    assert [line.split()[:2] for line in lines[0]] == [[str(k), "3"] for k in range(TIMES)]
    for number in range(TIMES):
        folder = tmp_path / f"run{number}"
        assert json.loads((folder / "environment.json").read_text())["packages"]
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        events = [(record["step"], record["event"]) for record in records]
        assert events == [(1, "train"), (2, "train"), (3, "train"), (3, "validation")]
        assert not list(folder.rglob(".learnedrecon-*"))
