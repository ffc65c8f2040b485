"""Files of a model go in, `ModelFacts` come out; nothing of the model is executed, imported or unpickled."""

from lading.model.formats import inspect
from lading.model.refusal import refuse

__all__ = ["inspect", "refuse"]
