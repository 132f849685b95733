"""Text in YAML that is written for people."""

from __future__ import annotations

TRAINING = """\
training:
  steps: 5000
  batch: {size: 1}
  optimiser: {kind: adam, learning_rate: 3.0e-3, betas: [0.9, 0.99]}
  schedule: {kind: cosine, warmup: 0.05}
  clip_norm: 1.0
  validate_every: 250
  checkpoint: {every: 250}

evaluation:
  range: max-min             # of PSNR and SSIM: of each true image; or range=1
  images: 100
  validation_images: 20
"""
"""Sections of a proposed configuration, but for the batch size of the evaluation."""


def quoted(text: str) -> str:
    """A text in double quotes for YAML, with escapes for characters that do not print.

    Args:
        text: Text.
    """
    return '"' + one_line(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def one_line(text: str) -> str:
    """A text with escapes for characters that do not print, including line breaks, for a comment.

    Args:
        text: Text.
    """
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)
