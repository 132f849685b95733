"""Random streams per sample, independent of the order in which samples are drawn."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np

from learnedrecon.errors import ConfigError, describe

Split = Literal["train", "validation", "test"]
"""The parts of a data set. No two of them share a random stream."""

Purpose = Literal["phantom", "noise"]
"""The purpose of a stream, so that the image and the noise of one sample are independent."""

_SPLITS: Final[tuple[str, ...]] = get_args(Split)
_PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)


def seed_sequence(
    seed: int, split: Split, index: int, *, purpose: Purpose
) -> np.random.SeedSequence:
    """The random stream of a sample, the same in any order, batch or worker.

    The entropy is ``seed`` and ``index`` as two 32-bit words each, and one word each for the split
    and the purpose. Every word has a fixed position, so that different arguments give different
    entropy.

    Args:
        seed: Seed of the whole data set, in [0, 2⁶⁴).
        split: Part of the data set.
        index: Index of the sample in its split, in [0, 2⁶⁴).
        purpose: Purpose of the stream, such as phantom or noise.

    Raises:
        ConfigError: The split or purpose is unknown, or a number is out of range.
    """
    words = (
        *_two_words("seed", seed),
        _place("split", split, _SPLITS),
        *_two_words("index", index),
        _place("purpose", purpose, _PURPOSES),
    )
    return np.random.SeedSequence(words)


def _two_words(name: str, number: int) -> tuple[int, int]:
    if not 0 <= number < 2**64:
        raise ConfigError(
            describe(
                expected=f"a {name} in [0, 2^64)",
                found=f"{name} = {number}",
                fix=f"choose a non-negative {name}",
            )
        )
    return int(number) & 0xFFFFFFFF, int(number) >> 32


def _place(name: str, choice: str, choices: tuple[str, ...]) -> int:
    if choice not in choices:
        raise ConfigError(
            describe(
                expected=f"a {name} out of {', '.join(choices)}",
                found=repr(choice),
                fix=f"choose one of these for the {name}",
            )
        )
    return choices.index(choice)
