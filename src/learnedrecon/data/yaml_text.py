"""YAML in which 3e-3 is a number."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _ScientificLoader(yaml.SafeLoader):
    """YAML 1.1 reads 3e-3 as a text; this loader reads it as a number, and never runs code."""


_ScientificLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """The plain data of YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    return yaml.load(text, Loader=_ScientificLoader)  # noqa: S506 - a SafeLoader
