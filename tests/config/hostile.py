"""Plain data with one place changed, deterministically, to something that nobody would write."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    2**31,
    2**63,
    -(2**63),
    10**20,
    10**400,
    10**6000,
    0.0,
    -0.0,
    0.5,
    -1.5,
    1e-320,
    1e300,
    1e39,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    "x",
    "1",
    "nan",
    "1e400",
    "name",
    "\x00",
    "\ud800",
    "x" * 100_000,
    [],
    [1],
    [0.5, 0.25],
    [1, 2, 3, 4],
    [None],
    [[]],
    [[1.0, 2.0], [3.0]],
    ["x", {"a": 1}],
    {},
    {"a": 1},
    {"name": "x"},
    {"name": {"a": 1}},
    {"name": ["x"]},
    {"name": "parallel_beam"},
    {"number": 3},
    {"": None},
    {"x" * 100_000: 1},
    [0] * 3000,
    DEEP,
)


def places(plain: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value, the whole included."""
    if isinstance(plain, dict):
        inside = [*plain.items()]
    else:
        inside = [*enumerate(plain)] if isinstance(plain, list) else []
    return [here, *(place for key, value in inside for place in places(value, (*here, key)))]


def changed(plain: Any, rng: random.Random) -> Any:
    """A copy of plain data with a value at one place replaced, left out, added or doubled."""
    place = rng.choice(places(plain))
    value = copy.deepcopy(rng.choice(VALUES))
    if not place:
        return value if rng.random() < 0.2 else _added(copy.deepcopy(plain), value, rng)
    found = copy.deepcopy(plain)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    match rng.randrange(5):
        case 0:
            del inner[place[-1]]
        case 1:
            inner[place[-1]] = _added(inner[place[-1]], value, rng)
        case _:
            inner[place[-1]] = value
    return found


def _added(plain: Any, value: Any, rng: random.Random) -> Any:
    if isinstance(plain, dict):
        return {**plain, rng.choice(("a", "name", "shape", "x" * 100, "\u00e9")): value}
    return [*plain, value] if isinstance(plain, list) else [plain, value]
