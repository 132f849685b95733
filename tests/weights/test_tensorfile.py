from __future__ import annotations

import json
import os
import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from learnedrecon.errors import DtypeError, FileFormatError
from learnedrecon.weights import tensorfile
from learnedrecon.weights.tensorfile import (
    read_tensors,
    require_finite,
    require_match,
    write_tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = {"model": {"name": "tiny", "width": 3}, "best": 31.5, "list": [1, None, True]}
DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.uint8,
    torch.int64,
    torch.bool,
]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def tensors() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "step": torch.tensor(7)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 4, 5)])
def test_every_number_comes_back(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    tensor = (10 * torch.randn(shape)).to(dtype)
    write_tensors(tmp_path / "a.safetensors", {"x": tensor}, CONTENT)
    found, content = read_tensors(tmp_path / "a.safetensors")
    assert content == CONTENT
    assert found["x"].dtype == dtype
    assert found["x"].shape == shape
    assert torch.equal(found["x"], tensor)


def test_layouts_and_shared_memory(tmp_path: Path) -> None:
    x = torch.randn(2, 3, 4, 4)
    views = {
        "own": x,
        "transposed": x.mT,
        "last": x.contiguous(memory_format=torch.channels_last),
        "part": x[:, 1:],
        "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
        "leaf": x.clone().requires_grad_(),
    }
    write_tensors(tmp_path / "a.safetensors", views, {})
    found, _ = read_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], view) for name, view in views.items())
    before = found["own"].clone()
    found["part"].zero_()
    assert torch.equal(found["own"], before)


def test_what_is_no_tensor_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors(), {})
    before = path.read_bytes()
    with pytest.raises(DtypeError, match="'extra'"):
        write_tensors(path, {"extra": {"no": "tensor"}}, {})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="JSON"):
        write_tensors(path, tensors(), {"model": object()})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.05, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, part: float) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, tensors(), CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(FileFormatError, match=r"weights\.safetensors.*truncated or corrupt"):
        read_tensors(path)


def test_no_byte_can_change_unnoticed(tmp_path: Path) -> None:
    """Wherever a bit flips, the file is refused, or (names of the format alone) reads the same."""
    path = tmp_path / "weights.safetensors"
    original = tensors()
    write_tensors(path, original, CONTENT)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x04]) + whole[position + 1 :])
        try:
            found, content = read_tensors(path)
        except FileFormatError as error:
            assert "weights.safetensors" in str(error)  # noqa: PT017 (some positions may pass)
            refused += 1
        else:
            assert content == CONTENT
            assert all(torch.equal(found[name], value) for name, value in original.items())
    assert refused > 0.9 * len(whole) / 3


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    for number, protocol in enumerate(range(2, pickle.HIGHEST_PROTOCOL + 1)):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(pickle.dumps({"model.weight": Bomb(trace)}, protocol))
        with pytest.raises(FileFormatError, match="pickle"):
            read_tensors(path)
    for zipped in (True, False):
        path = tmp_path / f"torch-{zipped}.safetensors"
        torch.save({"x": Bomb(trace)}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(FileFormatError, match="pickle"):
            read_tensors(path)
    text = tmp_path / "text.safetensors"
    text.write_bytes(pickle.dumps(Bomb(trace), 0))
    with pytest.raises(FileFormatError):
        read_tensors(text)
    assert not trace.exists()


def test_other_files_are_named(tmp_path: Path) -> None:
    foreign, newer = tmp_path / "foreign.safetensors", tmp_path / "newer.safetensors"
    save_file({"x": torch.zeros(2)}, foreign)
    with pytest.raises(FileFormatError, match="another program"):
        read_tensors(foreign)
    save_file({"x": torch.zeros(2)}, newer, metadata={"format": "learnedrecon", "version": "2"})
    with pytest.raises(FileFormatError, match="upgrade"):
        read_tensors(newer)
    with pytest.raises(FileFormatError, match=r"missing\.safetensors"):
        read_tensors(tmp_path / "missing.safetensors")
    with pytest.raises(FileFormatError, match="directory"):
        read_tensors(tmp_path)


def test_the_version_that_is_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorfile, "VERSION", 2)
    write_tensors(tmp_path / "a.safetensors", tensors(), CONTENT)
    monkeypatch.setattr(tensorfile, "VERSION", 1)
    with pytest.raises(FileFormatError, match="version 2"):
        read_tensors(tmp_path / "a.safetensors")
    monkeypatch.setattr(tensorfile, "VERSION", 3)
    assert read_tensors(tmp_path / "a.safetensors")[1] == json.loads(json.dumps(CONTENT))


def test_differences_are_named() -> None:
    expected = {f"w{k}": torch.zeros(k + 1) for k in range(6)}
    found = {**expected, "more": torch.zeros(1), "w0": torch.zeros(3), "w1": torch.zeros(2).half()}
    for name in ("w2", "w3", "w4", "w5"):
        del found[name]
    with pytest.raises(FileFormatError) as caught:
        require_match("some/file", expected=expected, found=found)
    message = str(caught.value)
    for part in (
        "some/file",
        "missing w2, w3, w4 and 1 more",
        "unexpected more",
        "w0 of float32 (3,) where float32 (1,) is needed",
        "w1 of float16 (2,) where float32 (2,) is needed",
    ):
        assert part in message
    require_match("some/file", expected=expected, found=dict(expected))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), complex(0, float("inf"))])
def test_numbers_that_are_not_finite_are_named(value: complex) -> None:
    good = {"a": torch.ones(2), "n": torch.tensor(3), "e": torch.zeros(0)}
    require_finite("some/file", good)
    with pytest.raises(FileFormatError, match=r"some/file.* in b"):
        require_finite("some/file", {**good, "b": torch.tensor([1, value])})


@pytest.mark.parametrize("length", [*range(640, 1409, 256), *(65536 + n for n in (640, 1408))])
def test_a_header_of_any_length_is_no_pickle(tmp_path: Path, length: int) -> None:
    """A file begins with its header's length; 640 is 80 02, as pickles of protocol 2 begin."""
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"x": torch.ones(2)}, {"note": ""})
    missing = length - int.from_bytes(path.read_bytes()[:8], "little")
    write_tensors(path, {"x": torch.ones(2)}, {"note": "x" * missing})
    whole = path.read_bytes()
    assert int.from_bytes(whole[:8], "little") == length
    assert read_tensors(path)[1] == {"note": "x" * missing}
    path.write_bytes(whole[:-1])
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        read_tensors(path)


def signed(path: Path, content: str, complex_names: str = "[]") -> None:
    """A file whose header has the right SHA-256, whatever else it says."""
    stored = {"x": torch.ones(2, 2), "whole": torch.ones(3, dtype=torch.int64)}
    texts = {"complex": complex_names, "content": content}
    header = {"format": "learnedrecon", "version": "1", "sha256": tensorfile._digest(stored, texts)}
    save_file(stored, path, metadata={**header, **texts})


DEEP = '{"a": ' * 300 + "1" + "}" * 300
NO_OBJECTS = ("[1]", "null", "not json", "[" * 100_000, "9" * 5000, "", "3", DEEP)


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_content_that_is_no_object_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.safetensors"
    signed(path, content)
    with pytest.raises(FileFormatError, match=r"weights\.safetensors.* What to do: ") as caught:
        read_tensors(path)
    assert len(str(caught.value)) < 1000
    signed(path, "{}", content)
    with pytest.raises(FileFormatError, match=r"weights\.safetensors.* What to do: "):
        read_tensors(path)


@pytest.mark.parametrize("names", ['["nothing"]', '["whole"]', "[[1]]", '[{"a": 1}]', "[null]"])
def test_names_of_complex_tensors_are_checked(tmp_path: Path, names: str) -> None:
    signed(tmp_path / "a.safetensors", "{}", '["x"]')
    assert read_tensors(tmp_path / "a.safetensors")[0]["x"].is_complex()
    signed(tmp_path / "a.safetensors", "{}", names)
    with pytest.raises(FileFormatError, match="as the name of a complex tensor"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", "/dev/zero"):
        with pytest.raises(FileFormatError, match="a pipe or a device"):
            read_tensors(path)
