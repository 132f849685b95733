"""Virtual data sets of HDF5 files, known from their object headers before a library opens them.

Opening a damaged virtual data set crashes the HDF5 library (2.0.0), which no Python code around it
can catch. Nothing in its interface tells the layout of a data set that is not open; the object
header does (HDF5 File Format Specification 3.0, sections IV.A.1 and IV.A.2.i).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_LAYOUT: Final = 8
_CONTINUATION: Final = 16
_STORED: Final = (0, 1, 2)
"""Layout classes of data in the file itself: compact, contiguous, chunked."""
_SHARED: Final = 2
_MOST_BYTES: Final = 1 << 20
_MOST_BLOCKS: Final = 1000


def may_be_virtual(path: str | os.PathLike[str], address: int, base: int = 0) -> bool:
    """True unless an object header describes a data set with its values in the file itself.

    Args:
        path: Path of the HDF5 file.
        address: Position of the object header in bytes, from ``base``.
        base: Size of the user block before the HDF5 content.
    """
    try:
        with Path(path).open("rb") as file:
            layouts = [
                body[:3] if flags & _SHARED == 0 else b""
                for kind, flags, body in _messages(file, address, base)
                if kind == _LAYOUT
            ]
    except (OSError, ValueError, OverflowError, struct.error):
        return True
    return not layouts or not all(_is_stored(layout) for layout in layouts)


def _is_stored(layout: bytes) -> bool:
    """True for a layout message of data in the file itself; its class comes third before v. 3."""
    if len(layout) < 3:
        return False
    return (layout[1] if layout[0] >= 3 else layout[2]) in _STORED


def _messages(file: BinaryIO, address: int, base: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and content of every header message; ValueError for what is no object header."""
    start = _read(file, base + address, 16)
    if start[:4] == b"OHDR":
        yield from _messages_of_version_2(file, address, base, start)
    elif start[0] == 1:
        yield from _messages_of_version_1(file, address, base, start)
    else:
        raise ValueError


def _messages_of_version_1(
    file: BinaryIO, address: int, base: int, start: bytes
) -> Iterator[tuple[int, int, bytes]]:
    waiting, count = [(address + 16, struct.unpack_from("<I", start, 8)[0])], 0
    while waiting:
        count += 1
        offset, length = waiting.pop(0)
        block, place = _block(file, base + offset, length, count), 0
        while place + 8 <= len(block):
            kind, size, flags = struct.unpack_from("<HHB", block, place)
            body = block[place + 8 : place + 8 + size]
            if kind == _CONTINUATION:
                waiting.append(struct.unpack_from("<QQ", body))
            yield kind, flags, body
            place += 8 + size


def _messages_of_version_2(
    file: BinaryIO, address: int, base: int, start: bytes
) -> Iterator[tuple[int, int, bytes]]:
    flags = start[5]
    place = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(_read(file, base + place, width), "little")
    waiting, count = [(place + width, size)], 0
    head = 6 if flags & 4 else 4
    while waiting:
        count += 1
        offset, length = waiting.pop(0)
        block, place = _block(file, base + offset, length, count), 0
        while place + head <= len(block):
            kind, size, message_flags = struct.unpack_from("<BHB", block, place)
            body = block[place + head : place + head + size]
            if kind == _CONTINUATION:
                further, length = struct.unpack_from("<QQ", body)
                waiting.append((further + 4, max(length - 8, 0)))
            yield kind, message_flags, body
            place += head + size


def _block(file: BinaryIO, place: int, size: int, count: int) -> bytes:
    if size > _MOST_BYTES or count > _MOST_BLOCKS:
        raise ValueError
    return _read(file, place, size)


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    content = file.read(size)
    if len(content) < size:
        raise ValueError
    return content
