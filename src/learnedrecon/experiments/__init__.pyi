from .alignment import Alignment as Alignment
from .alignment import align as align
from .certification import Certification as Certification
from .certification import certify as certify
from .checking import check_data as check_data
from .checking import check_model as check_model
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .demonstration import Demo as Demo
from .demonstration import demo as demo
from .energy import Minimiser as Minimiser
from .energy import energy as energy
from .energy import minimiser as minimiser
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .experiment import Experiment as Experiment
from .fitting import FitResult as FitResult
from .fitting import fit as fit
from .init import init_config as init_config
from .iteration_studies import IterationStudy as IterationStudy
from .iteration_studies import iteration_study as iteration_study
from .listing import Listed as Listed
from .listing import registered as registered
from .material import Material as Material
from .progress import Progress as Progress
from .reconstruction import Reconstruction as Reconstruction
from .reconstruction import reconstruct as reconstruct
from .training import TrainedRun as TrainedRun
from .training import train as train
from .tuned_baselines import tuned as tuned

__all__ = [
    "Alignment",
    "Certification",
    "Comparison",
    "Demo",
    "Evaluation",
    "Experiment",
    "FitResult",
    "IterationStudy",
    "Listed",
    "Material",
    "Minimiser",
    "Progress",
    "Reconstruction",
    "TrainedRun",
    "align",
    "certify",
    "check_data",
    "check_model",
    "compare",
    "demo",
    "energy",
    "evaluate",
    "fit",
    "init_config",
    "iteration_study",
    "minimiser",
    "reconstruct",
    "registered",
    "train",
    "tuned",
]
