"""How far an estimate is from the truth, with the data range said aloud, and how tables sum up."""

from __future__ import annotations

from learnedrecon.metrics.image import nmse, psnr, psnr_torch, ssim
from learnedrecon.metrics.ranges import DataRange, FixedRange, MaxMinPerImage, parse_range
from learnedrecon.metrics.statistics import (
    PairedDifference,
    Summary,
    paired_difference,
    summarise,
)

__all__ = [
    "DataRange",
    "FixedRange",
    "MaxMinPerImage",
    "PairedDifference",
    "Summary",
    "nmse",
    "paired_difference",
    "parse_range",
    "psnr",
    "psnr_torch",
    "ssim",
    "summarise",
]
