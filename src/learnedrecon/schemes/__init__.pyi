from .backward import Backprop as Backprop
from .backward import Checkpointed as Checkpointed
from .fixed_point import FixedPoint as FixedPoint
from .implicit import Implicit as Implicit
from .implicit import JacobianFree as JacobianFree
from .invertible import CouplingStep as CouplingStep
from .invertible import InvertibleStep as InvertibleStep
from .reconstructor import Estimate as Estimate
from .reconstructor import Iterative as Iterative
from .reconstructor import Reconstructor as Reconstructor
from .reversible import Reversible as Reversible
from .scaling import AdjointScale as AdjointScale
from .scaling import ImageScale as ImageScale
from .scaling import NoScaling as NoScaling
from .scaling import Scaling as Scaling
from .state import Image as Image
from .step import Chain as Chain
from .step import Repeat as Repeat
from .step import Step as Step
from .subsets import OnSubset as OnSubset
from .subsets import Partition as Partition
from .units import Coupling as Coupling
from .units import Unit as Unit

__all__ = [
    "AdjointScale",
    "Backprop",
    "Chain",
    "Checkpointed",
    "Coupling",
    "CouplingStep",
    "Estimate",
    "FixedPoint",
    "Image",
    "ImageScale",
    "Implicit",
    "InvertibleStep",
    "Iterative",
    "JacobianFree",
    "NoScaling",
    "OnSubset",
    "Partition",
    "Reconstructor",
    "Repeat",
    "Reversible",
    "Scaling",
    "Step",
    "Unit",
]
