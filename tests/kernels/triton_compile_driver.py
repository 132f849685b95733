"""Compiles what the launchers would start on an H100, which needs no GPU, and reports it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import mangle_type

from learnedrecon.kernels import triton2d, triton3d
from learnedrecon.kernels.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnedrecon.kernels.triton_launch import Launch

H100 = GPUTarget("cuda", 90, 32)
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64


def source(launch: Launch) -> ASTSource:
    """The types of the arguments as the just-in-time compiler would find them."""
    signature: dict[str, str] = {}
    constants: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    declared = {p.name: p.annotation_type for p in launch.kernel.params}
    for i, name in enumerate(launch.kernel.arg_names):
        value: Any = launch.constants.get(name, launch.arguments.get(name))
        if name in launch.constants or (isinstance(value, int) and value == 1):
            signature[name], constants[i,] = "constexpr", value
        elif isinstance(value, float):
            signature[name] = declared[name] or "fp32"
        else:
            signature[name] = mangle_type(value)
            if isinstance(value, torch.Tensor) or value % 16 == 0:
                attributes[i,] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, attributes)


def resources(cubin: bytes) -> dict[str, int]:
    """Registers and bytes of stack (spilled registers) of a thread."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(TOOLS / "cuobjdump"), "-res-usage", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found is not None, text
    return {"registers": int(found[1]), "stack": int(found[2])}


def launches() -> Iterator[tuple[str, Launch]]:
    for diverging in (False, True):
        flat = Sizes(diverging, (256,), (256, 256), (1.0, 1.0))
        vectors = torch.zeros(256, 6, dtype=F64)
        for dtype, storage, batch in (
            (F32, None, 128), (F32, F16, 32), (F32, BF16, 32), (F32, None, 1), (F64, None, 8),
            (BF16, None, 1),
        ):  # fmt: skip
            image = torch.empty(batch, 256, 256, dtype=dtype)
            label = f"diverging={diverging} {dtype} in {storage} batch={batch}"
            for launch in (
                *triton2d.launches_forward(image, image, vectors, flat, storage, None),
                *triton2d.launches_adjoint(image, image[None], vectors, flat, storage, None),
            ):
                yield label, launch
        deep = Sizes(diverging, (32, 48), (32, 32, 32), (1.0, 1.0, 1.0))
        vectors = torch.zeros(16, 12, dtype=F64)
        for dtype, storage, batch in ((F32, None, 1), (F32, F16, 8), (F64, None, 1)):
            volume = torch.empty(batch, 32, 32, 32, dtype=dtype)
            data = torch.empty(batch, 16, 32, 48, dtype=dtype)
            label = f"3D diverging={diverging} {dtype} in {storage} batch={batch}"
            for launch in (
                *triton3d.launches_forward(volume, data, vectors, deep, storage, None),
                *triton3d.launches_adjoint(data, volume[None], vectors, deep, storage, None),
            ):
                yield label, launch


def main() -> None:
    done: dict[str, dict[str, Any]] = {}
    for label, launch in launches():
        made = source(launch)
        key = f"{made.hash()} {launch.options}"
        if key in done:
            continue
        compiled = triton.compile(made, target=H100, options=launch.options)
        done[key] = {"kernel": launch.kernel.__name__, "label": label}
        done[key] |= {"ptx": ".target sm_90" in compiled.asm["ptx"]}
        done[key] |= resources(compiled.asm["cubin"])
    sys.stdout.write(json.dumps(list(done.values())))


if __name__ == "__main__":
    main()
