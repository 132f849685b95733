from .batch import Batch as Batch
from .batch import BatchBuilder as BatchBuilder
from .batch import Sample as Sample
from .datasets import ArrayDataset as ArrayDataset
from .datasets import EllipseDataset as EllipseDataset
from .datasets import EllipseSpec as EllipseSpec
from .datasets import SampleDataset as SampleDataset
from .datasets import SheppLogan as SheppLogan
from .datasets import SheppLoganSpec as SheppLoganSpec
from .datasets import SingleImage as SingleImage
from .files.arrays import read_array as read_array
from .files.arrays import write_array as write_array
from .files.dicom import read_attenuation as read_attenuation
from .files.dicom import read_ct_dicom as read_ct_dicom
from .files.exchange import read_data_exchange as read_data_exchange
from .loader import Loader as Loader
from .loader import evaluation_batches as evaluation_batches
from .noise import Gaussian as Gaussian
from .noise import GaussianRange as GaussianRange
from .noise import Noise as Noise
from .noise import NoNoise as NoNoise
from .noise import PoissonCounts as PoissonCounts
from .noise import PoissonLog as PoissonLog
from .noise import RelativeGaussian as RelativeGaussian
from .pairs import PairFolder as PairFolder
from .pairs import PairFolderSpec as PairFolderSpec
from .phantoms.birdcage import birdcage_maps as birdcage_maps
from .phantoms.shepp_logan import shepp_logan as shepp_logan
from .photographs import Photographs as Photographs
from .photographs import PhotographSpec as PhotographSpec
from .simulate import Simulation as Simulation
from .simulate import Simulator as Simulator

__all__ = [
    "ArrayDataset",
    "Batch",
    "BatchBuilder",
    "EllipseDataset",
    "EllipseSpec",
    "Gaussian",
    "GaussianRange",
    "Loader",
    "NoNoise",
    "Noise",
    "PairFolder",
    "PairFolderSpec",
    "PhotographSpec",
    "Photographs",
    "PoissonCounts",
    "PoissonLog",
    "RelativeGaussian",
    "Sample",
    "SampleDataset",
    "SheppLogan",
    "SheppLoganSpec",
    "Simulation",
    "Simulator",
    "SingleImage",
    "birdcage_maps",
    "evaluation_batches",
    "read_array",
    "read_attenuation",
    "read_ct_dicom",
    "read_data_exchange",
    "shepp_logan",
    "write_array",
]
