"""YAML in which 3e-3 is a number and a key comes once."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_MERGE: Final = "tag:yaml.org,2002:merge"


class _ScientificLoader(yaml.SafeLoader):
    """YAML 1.1 reads 3e-3 as a text; this loader reads it as a number, and never runs code.

    A key that comes twice in one section is an error, of which YAML would keep the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as in yaml
        own = [key for key, _ in node.value if key.tag != _MERGE]
        values = super().construct_mapping(node, deep=deep)
        lines: dict[Any, int] = {}
        for key in own:
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if name in lines:
                problem = f"the key '{name}' a second time (the first is in line {lines[name]})"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[name] = line
        return values


_ScientificLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def load_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """The plain data of YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, or a key comes twice in one section.
    """
    return yaml.load(text, Loader=_ScientificLoader)  # noqa: S506 - a SafeLoader
