"""How one request becomes a clip. `pipeline.py` is the recipe; `engine.py` runs it."""

from muybridge.engine.clip import Clip
from muybridge.engine.components import Components
from muybridge.engine.engine import Engine
from muybridge.engine.loading import load, random_components
from muybridge.engine.meter import Progress
from muybridge.engine.state import GenerationState

__all__ = ["Clip", "Components", "Engine", "GenerationState", "Progress", "load", "random_components"]
