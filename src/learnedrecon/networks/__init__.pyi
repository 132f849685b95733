from .as_real import AsReal as AsReal
from .bounded import Averaged as Averaged
from .bounded import NearIdentity as NearIdentity
from .conv import ConvNet as ConvNet
from .conv import Convolutions as Convolutions
from .conv import ConvSpec as ConvSpec
from .experts import Experts as Experts
from .experts import FieldOfExperts as FieldOfExperts
from .filters import RampFilter as RampFilter
from .filters import apply_filter as apply_filter
from .filters import padded_length as padded_length
from .filters import ramp_response as ramp_response
from .folded import Folded as Folded
from .potential import PotentialNet as PotentialNet
from .potential import PotentialSpec as PotentialSpec
from .unet import UNet as UNet
from .unet import UNetSpec as UNetSpec

__all__ = [
    "AsReal",
    "Averaged",
    "ConvNet",
    "ConvSpec",
    "Convolutions",
    "Experts",
    "FieldOfExperts",
    "Folded",
    "NearIdentity",
    "PotentialNet",
    "PotentialSpec",
    "RampFilter",
    "UNet",
    "UNetSpec",
    "apply_filter",
    "padded_length",
    "ramp_response",
]
