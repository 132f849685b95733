from .image import nmse as nmse
from .image import psnr as psnr
from .image import psnr_torch as psnr_torch
from .image import ssim as ssim
from .ranges import DataRange as DataRange
from .ranges import FixedRange as FixedRange
from .ranges import MaxMinPerImage as MaxMinPerImage
from .ranges import parse_range as parse_range
from .statistics import PairedDifference as PairedDifference
from .statistics import Summary as Summary
from .statistics import paired_difference as paired_difference
from .statistics import summarise as summarise
from .volume import VolumeMetrics as VolumeMetrics
from .volume import volume_metrics as volume_metrics

__all__ = [
    "DataRange",
    "FixedRange",
    "MaxMinPerImage",
    "PairedDifference",
    "Summary",
    "VolumeMetrics",
    "nmse",
    "paired_difference",
    "parse_range",
    "psnr",
    "psnr_torch",
    "ssim",
    "summarise",
    "volume_metrics",
]
