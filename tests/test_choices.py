"""Texts that Python code gives to a record of data, losses or training, and that are no choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from learnedrecon.choices import require_choices
from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.icbm152 import Icbm152Spec
from learnedrecon.data.kspace.dataset import KSpaceSpec
from learnedrecon.data.kspace.slices import CoilMapSpec
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.data.photographs import PhotographSpec
from learnedrecon.data.published.lodopab import LodopabSpec
from learnedrecon.data.published.two_detect import TwoDetectSpec
from learnedrecon.errors import ConfigError
from learnedrecon.training.losses import AbsoluteError, SmoothedModulus, SquaredError
from learnedrecon.training.spec import BestSpec, OptimiserSpec, ScheduleSpec, TrainingSpec

FIELDS = [
    (EllipseSpec(), "split"),
    (PhotographSpec(), "split"),
    (PairFolderSpec("folder"), "split"),
    (PairFolderSpec("folder"), "image_shapes"),
    (KSpaceSpec("folder"), "split"),
    (KSpaceSpec("folder"), "broken"),
    (CoilMapSpec(), "kind"),
    (Icbm152Spec(), "split"),
    (Icbm152Spec(), "planes"),
    (LodopabSpec("folder"), "split"),
    (TwoDetectSpec("folder"), "split"),
    (SquaredError(), "reduction"),
    (AbsoluteError(), "reduction"),
    (SmoothedModulus(), "reduction"),
    (OptimiserSpec(), "kind"),
    (ScheduleSpec(), "kind"),
    (TrainingSpec(), "precision"),
    (TrainingSpec(), "backward"),
    (TrainingSpec(), "strategy"),
    (TrainingSpec(), "channels_last"),
    (BestSpec(), "mode"),
]


@pytest.mark.parametrize(("spec", "name"), FIELDS)
def test_what_is_no_choice_is_refused_with_all_that_are(spec: Any, name: str) -> None:
    usual = getattr(spec, name)
    wrong = (*usual, "oblique") if isinstance(usual, tuple) else "oblique"
    words = rf"'{name}' of {type(spec).__name__} to be one of .*oblique.*correct '{name}'"
    with pytest.raises(ConfigError, match=words):
        replace(spec, **{name: wrong})


@dataclass(frozen=True)
class Example:
    """Of every kind of annotation."""

    one: Literal["a", "b"] | None = None
    several: tuple[Literal["a", "b"], ...] = ("a",)
    flag: Literal["auto"] | bool = True
    text: str = "anything"


def test_other_kinds_of_fields_are_left_alone() -> None:
    require_choices(Example())
    require_choices(Example("b", ("a", "b"), "auto", "other"))
    for wrong in (Example("c"), Example(several=("a", "c")), Example(flag="c")):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="one of"):
            require_choices(wrong)
