"""Ways to damage a file, drawn from one generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NUMBERS = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    32767,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
TOKENS = tuple(
    text.encode("latin-1")
    for text in (
        *(
            "[",
            "]",
            "{",
            "}",
            "[" * 400,
            "{a: " * 400,
            "&a ",
            "*a",
            "<<: *a",
            "!!int ",
            "!!binary ",
        ),
        *("!!set {a}", "!!timestamp 2001-01-01", "? ", "- ", ": ", "\n", "\t", "#", "'", '"', "|"),
        *(
            "null",
            "~",
            "true",
            "yes",
            "010",
            "1e400",
            "-1e-320",
            ".nan",
            ".inf",
            "1:30",
            "9" * 5000,
        ),
        *(
            "2001-13-01",
            "name",
            "\\",
            "1\\2",
            "x",
            "HU\\US",
            "\x00",
            "\xff\xfe",
            "OB",
            "SQ",
            "UN",
            "UL",
        ),
        *("(1, 2)", "(-1,)", "(2**70,)", "True", "'<f8'", "'|O'", "'|V0'", "fortran_order", "()"),
        *("TIME", "data", "exchange/theta", "IHDR", "IDAT", "tRNS", "zTXt", "II*\x00", "MM\x00*"),
    )
)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to four damages, most of them near the beginning, where headers are."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        rng.choice(KINDS)(data, rng)
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    end = len(data) if rng.random() < 0.5 else min(len(data), 600)
    return rng.randrange(end) if end else 0


def _bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 255, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random) -> None:
    place, size = _place(data, rng), rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) % (1 << (8 * size))
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    del data[place:]


def _remove(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    del data[place : place + rng.choice((1, 2, 4, 8, 32, 200))]


def _double(data: bytearray, rng: random.Random) -> None:
    place, size = _place(data, rng), rng.choice((1, 4, 16, 100))
    data[place:place] = data[place : place + size] * rng.choice((1, 2, 50))


def _move(data: bytearray, rng: random.Random) -> None:
    source, target, size = _place(data, rng), _place(data, rng), rng.choice((1, 2, 4, 8, 64))
    data[target : target + size] = data[source : source + size]


def _token(data: bytearray, rng: random.Random) -> None:
    place, token = _place(data, rng), rng.choice(TOKENS)
    end = place + rng.choice((0, len(token)))
    data[place:end] = token


KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _bit,
    _byte,
    _number,
    _number,
    _cut,
    _remove,
    _double,
    _move,
    _token,
    _token,
)
