"""Shared images between the data sections of a configuration."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING

from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.photographs import PhotographSpec
from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from learnedrecon.data.seeds import Split
    from learnedrecon.recorded import Record


@singledispatch
def share_images(one: Record, other: Record) -> bool:
    """True if an image of one dataset can be an image of the other.

    By default datasets of different kinds or arguments share none.
    ``@share_images.register(MySpec)`` adds another rule for your own class. A folder that is a copy
    of another one is not recognised.

    Args:
        one: Record of a dataset.
        other: Record of another dataset.
    """
    return bool(one == other)


@share_images.register(EllipseSpec)
def _(one: EllipseSpec, other: Record) -> bool:
    """Ellipses are the same where preset, size, seed and split are."""
    return isinstance(other, EllipseSpec) and _law(one) == _law(other)


@share_images.register(PhotographSpec)
def _(one: PhotographSpec, other: Record) -> bool:
    """Patches of one split are from the same photographs, whatever their size and place."""
    same = isinstance(other, PhotographSpec)
    return same and (one.split or "train") == (other.split or "train")


@singledispatch
def in_section(spec: Record, section: Split) -> Record:  # noqa: ARG001 - what other kinds look at
    """The record of a dataset in a section of a configuration; by default the record itself.

    Args:
        spec: Record of a dataset.
        section: Name of the section.
    """
    return spec


@in_section.register(EllipseSpec)
def _(spec: EllipseSpec, section: Split) -> EllipseSpec:
    return spec if spec.split is not None else replace(spec, split=section)


@in_section.register(PhotographSpec)
def _(spec: PhotographSpec, section: Split) -> PhotographSpec:
    return spec if spec.split is not None else replace(spec, split=section)


def refuse_shared_images(sections: Mapping[str, Record]) -> None:
    """Check that no two sections share images, so that no score is on training images.

    Args:
        sections: Records of datasets by the names of their sections.

    Raises:
        ConfigError: Two sections share images.
    """
    names = list(sections)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if share_images(sections[first], sections[second]):
                raise ConfigError(
                    describe(
                        expected=f"other images in 'data.{second}' than in 'data.{first}'",
                        found=f"sections that share images, {sections[first]} and "
                        f"{sections[second]}",
                        fix=f"give each its own split (split: {first}, split: {second}), with the "
                        "same seed and, of a folder, the same fractions; or name another folder",
                    )
                )


def _law(spec: EllipseSpec) -> tuple[object, ...]:
    size = (spec.size, spec.size) if isinstance(spec.size, int) else tuple(spec.size)
    return spec.preset, size, spec.seed, spec.split or "train"
