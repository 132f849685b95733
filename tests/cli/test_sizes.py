"""Huge sizes on the command line: exit code 2 and the bytes, before memory or time is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Place

    Refused = Callable[[list[object], tuple[str, str, str]], None]

TOO_LARGE: dict[str, tuple[str, str]] = {
    "operator.angles.number=1e9": (r"at most 256 MiB", r"3\.73 GiB"),
    "operator.angles.number=100000000000000000000": (r"at most 256 MiB", r"1e\+20.*EiB"),
    "operator.detector.pixels=10000000000000000000": (r"at most 256 MiB", "EiB"),
    "operator.shape=[1000000, 1000000]": (r"at most 256 GiB", r"3\.64 TiB"),
    "model.hidden=1000000": ("weights of at most", "TiB"),
    "data.train.size=1000000": ("a phantom of at most", r"7\.28 TiB"),
    "data.train={name: shepp_logan, size: 1000000}": ("a phantom of at most", r"7\.28 TiB"),
    "data.train.length=9223372036854775808": ("images of a dataset", "9223372036854775808"),
    "data.simulation.grid=[1000000, 1000000]": ("simulation.grid", "TiB"),
    "data.draws=1000000000000": ("at most 1000000 random integers", "1000000000000"),
    "data.workers=1000000": ("processes that load samples", "TiB"),
    "training.steps=10000000000000000000000": (
        "at most 1000000000 steps",
        "10000000000000000000000",
    ),
    "training.batch.size=10000000000": ("a batch", r"10000000000 samples.*TiB"),
    "training.batch.accumulate=10000000000": ("a batch", "TiB"),
    "evaluation.validation_images=100000000": ("at most 1000000 images", "100000000"),
}


@pytest.mark.parametrize("override", TOO_LARGE)
def test_a_training_that_no_machine_holds_is_refused(
    place: Place, refused: Refused, override: str
) -> None:
    expected, found = TOO_LARGE[override]
    refused(place.train(override), (expected, found, "."))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--iterations", "1:1000000000000"], ("LAST <= 100000", "1:1000000000000", "correct")),
        (["--images", "100000000"], ("at most 1000000 images", "100000000", "correct")),
    ],
    ids=["iterations", "images"],
)
def test_an_evaluation_without_end_is_refused(
    place: Place, refused: Refused, words: list[object], parts: tuple[str, str, str]
) -> None:
    refused(["evaluate", place.run, *words], parts)
