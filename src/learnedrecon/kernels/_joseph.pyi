from typing import Any

import numpy as np
from numpy.typing import NDArray

def forward(
    image: NDArray[Any],
    data: NDArray[Any],
    vectors: NDArray[np.float64],
    fan: bool,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def adjoint(
    data: NDArray[Any],
    image: NDArray[Any],
    vectors: NDArray[np.float64],
    fan: bool,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def moments(
    image: NDArray[Any],
    intercept: NDArray[np.float64],
    slope: NDArray[np.float64],
    by_rows: NDArray[np.bool_],
    out: NDArray[np.float64],
    threads: int,
) -> None: ...
def forward3d(
    volume: NDArray[Any],
    data: NDArray[Any],
    vectors: NDArray[np.float64],
    cone: bool,
    dz: float,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def adjoint3d(
    data: NDArray[Any],
    volume: NDArray[Any],
    vectors: NDArray[np.float64],
    cone: bool,
    dz: float,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def gather_voxels(
    stack: NDArray[Any],
    volume: NDArray[Any],
    views: NDArray[np.float64],
    placement: NDArray[np.float64],
    threads: int,
) -> None: ...
def scatter_voxels(
    volume: NDArray[Any],
    stack: NDArray[Any],
    views: NDArray[np.float64],
    placement: NDArray[np.float64],
    threads: int,
) -> None: ...
def gather_pixels(
    data: NDArray[Any],
    image: NDArray[Any],
    views: NDArray[np.float64],
    kind: int,
    placement: NDArray[np.float64],
    threads: int,
) -> None: ...
def scatter_pixels(
    image: NDArray[Any],
    data: NDArray[Any],
    views: NDArray[np.float64],
    kind: int,
    placement: NDArray[np.float64],
    threads: int,
) -> None: ...
def available_isas() -> list[str]: ...
def current_isa() -> str: ...
def set_isa(name: str) -> bool: ...
