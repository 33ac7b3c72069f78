"""Where to take more photos: which surfaces the capture covers badly, and from where they would be seen.

| key type | where |
|---|---|
| `ReshootConfig` | config.py |
| `Look`: a capture camera's depth picture; `LevelScene` | looks.py |
| `Surface`: samples of what was seen and of the unknown beside it | surface.py |
| `Quality`: how well each sample was seen; `Kind`, its plain words | quality.py |
| `Places`: where one can stand | places.py |
| `Chooser`: the best next photos | propose.py |
| `plan_reshoot` -> `ReshootPlan` of `Proposal`s | plan.py |
| `save_plan`, `load_plan`: files for the report and the page | store.py |
"""

from .config import ReshootConfig
from .pictures import KIND_COLOURS
from .plan import Proposal, ReshootPlan, Survey, plan_reshoot, survey_scene
from .quality import WORDS, Kind
from .store import FILE, SavedPlan, load_plan, save_plan

__all__ = [
    "FILE",
    "KIND_COLOURS",
    "WORDS",
    "Kind",
    "Proposal",
    "ReshootConfig",
    "ReshootPlan",
    "SavedPlan",
    "Survey",
    "load_plan",
    "plan_reshoot",
    "save_plan",
    "survey_scene",
]
