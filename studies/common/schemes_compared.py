"""The learned schemes that are compared, of sizes that fit the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studies.common.equal_budget import Scheme

SCHEMES: Mapping[str, Scheme] = {}
"""By registered name, in the order in which they are trained."""
