"""LEARNEDRECON_SIMD: read once, at the first use, and never ignored."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from learnedrecon.errors import ConfigError
from learnedrecon.kernels import joseph
from learnedrecon.kernels.joseph import RayGeometry2D

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GEOMETRY = RayGeometry2D(np.array([[0.0, 1, -1, 0, 1, 0]]), False, 3, (4, 5), (1.0, 1.0))
VARIABLE = "LEARNEDRECON_SIMD"

USES: dict[str, Callable[[], object]] = {
    "forward": lambda: joseph.forward(torch.zeros(4, 5), GEOMETRY),
    "adjoint": lambda: joseph.adjoint(torch.zeros(1, 3), GEOMETRY),
    "current_isa": joseph.current_isa,
    "set_isa": lambda: joseph.set_isa(None),
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has not used the kernels; afterwards as the real environment says."""
    joseph._heed_environment.cache_clear()
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    monkeypatch.undo()
    joseph._heed_environment.cache_clear()
    joseph.set_isa(None)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("isa", joseph.available_isas())
def test_chooses_the_path(isa: str, use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, isa)
    USES[use]()
    assert pytest.importorskip("learnedrecon.kernels._joseph").current_isa() == isa


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("value", ["mmx", "AVX2 ", "0"])
def test_other_values_are_refused_each_time(
    value: str, compiled: bool, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    monkeypatch.setattr(joseph, "_compiled", compiled and joseph._compiled)
    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"LEARNEDRECON_SIMD={value}") as caught:
            USES[use]()
        for choice in joseph.available_isas():
            assert choice in str(caught.value)


def test_what_this_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joseph, "available_isas", lambda: ("portable",))
    monkeypatch.setenv(VARIABLE, "avx512")
    with pytest.raises(ConfigError, match=r"\('portable',\)"):
        USES["forward"]()


@pytest.mark.parametrize("value", [None, ""])
def test_unset_or_empty_is_the_best(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert joseph.current_isa() == next(iter(joseph.available_isas()), None)


@pytest.mark.skipif(not joseph.available_isas(), reason="there are no compiled kernels")
def test_is_read_once_and_a_later_set_isa_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    best, *_, last = joseph.available_isas()
    monkeypatch.setenv(VARIABLE, last)
    assert joseph.current_isa() == last
    monkeypatch.setenv(VARIABLE, "mmx")
    USES["forward"]()
    joseph.set_isa(best)
    USES["forward"]()
    assert joseph.current_isa() == best
    joseph.set_isa(None)
    assert joseph.current_isa() == last


def test_importing_reads_nothing() -> None:
    code = "import learnedrecon.kernels.joseph as joseph; joseph.available_isas()"
    environment = {**os.environ, VARIABLE: "mmx"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
