import numpy as np
from numpy.typing import NDArray
from torch import Tensor

def forward(
    image: Tensor,
    data: Tensor,
    vectors: NDArray[np.float64],
    fan: bool,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def adjoint(
    data: Tensor,
    image: Tensor,
    vectors: NDArray[np.float64],
    fan: bool,
    dy: float,
    dx: float,
    threads: int,
) -> None: ...
def available_isas() -> list[str]: ...
def current_isa() -> str: ...
def set_isa(name: str) -> bool: ...
