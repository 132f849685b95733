"""Whether two sections of data hold the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from learnedrecon.data.datasets import EllipseSpec
from learnedrecon.data.pairs import PairFolderSpec
from learnedrecon.errors import ConfigError, describe

if TYPE_CHECKING:
    from collections.abc import Mapping


def share_images(one: Any, other: Any) -> bool:  # noqa: ANN401 - any specs of datasets
    """Whether an image of one section can be an image of the other.

    Ellipses are the same where preset, size, seed and split are. Two sections of one folder are
    disjoint only as different splits by the same fractions and seed. What else there is, such as
    one folder that is a copy of another, is not recognised.

    Args:
        one: the spec of a dataset.
        other: that of another one.
    """
    if isinstance(one, EllipseSpec) and isinstance(other, EllipseSpec):
        return _law(one) == _law(other)
    if isinstance(one, PairFolderSpec) and isinstance(other, PairFolderSpec):
        return Path(one.path).resolve() == Path(other.path).resolve() and not _disjoint(one, other)
    return False


def refuse_shared_images(sections: Mapping[str, Any]) -> None:
    """Refuses a configuration that would score what it was fitted to.

    Args:
        sections: specs of datasets by the names of their sections.

    Raises:
        ConfigError: two of them share images.
    """
    names = list(sections)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if share_images(sections[first], sections[second]):
                raise ConfigError(
                    describe(
                        expected=f"other images in 'data.{second}' than in 'data.{first}'",
                        found=f"sections that share images, {_text(sections[first])} and "
                        f"{_text(sections[second])}",
                        fix=f"give each its own split (split: {first}, split: {second}), with the "
                        "same seed and, of a folder, the same fractions; or name another folder",
                    )
                )


def _law(spec: EllipseSpec) -> tuple[Any, ...]:
    size = (spec.size, spec.size) if isinstance(spec.size, int) else tuple(spec.size)
    return spec.preset, size, spec.seed, spec.split


def _disjoint(one: PairFolderSpec, other: PairFolderSpec) -> bool:
    divided = None not in {one.split, other.split} and one.split != other.split
    return divided and (one.fractions, one.seed) == (other.fractions, other.seed)


def _text(spec: EllipseSpec | PairFolderSpec) -> str:
    text = f"split {spec.split}, seed {spec.seed}"
    if isinstance(spec, EllipseSpec):
        return f"ellipses of preset {spec.preset}, {text}"
    return f"{spec.path}, {text}, fractions {list(spec.fractions)}"
