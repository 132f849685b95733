from .loop import TrainingResult as TrainingResult
from .losses import AbsoluteError as AbsoluteError
from .losses import DeepSupervision as DeepSupervision
from .losses import LogSquaredError as LogSquaredError
from .losses import Loss as Loss
from .losses import SmoothedModulus as SmoothedModulus
from .losses import SquaredError as SquaredError
from .run import RunFolder as RunFolder
from .spec import AdversarialSpec as AdversarialSpec
from .spec import BatchSpec as BatchSpec
from .spec import BestSpec as BestSpec
from .spec import CheckpointSpec as CheckpointSpec
from .spec import GreedySpec as GreedySpec
from .spec import OptimiserSpec as OptimiserSpec
from .spec import ScheduleSpec as ScheduleSpec
from .spec import TrainingSpec as TrainingSpec
from .update import Supervised as Supervised
from .update import Update as Update

__all__ = [
    "AbsoluteError",
    "AdversarialSpec",
    "BatchSpec",
    "BestSpec",
    "CheckpointSpec",
    "DeepSupervision",
    "GreedySpec",
    "LogSquaredError",
    "Loss",
    "OptimiserSpec",
    "RunFolder",
    "ScheduleSpec",
    "SmoothedModulus",
    "SquaredError",
    "Supervised",
    "TrainingResult",
    "TrainingSpec",
    "Update",
]
