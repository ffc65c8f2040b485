"""Files of a model go in, `ModelFacts` come out; nothing of the model is executed, imported or unpickled."""

from lading.model.formats import as_files, inspect, is_known
from lading.model.refusal import refuse

__all__ = ["as_files", "inspect", "is_known", "refuse"]
