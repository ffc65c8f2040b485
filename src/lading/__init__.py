"""lading turns a trained model into a sealed, tested OCI package; `save` writes one from training code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lading.core.signature import Signature
    from lading.pipeline.saving import Saved, save
    from lading.saving import Flavour, Saving, Written

__all__ = ["Flavour", "Saved", "Saving", "Signature", "Written", "__version__", "save"]
__version__ = "0.1.0"
_PLACES = {
    **dict.fromkeys(("Saved", "save"), "lading.pipeline.saving"),
    **dict.fromkeys(("Flavour", "Saving", "Written"), "lading.saving"),
    "Signature": "lading.core.signature",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the module has
    """Import what is asked for when it is asked for: `import lading` costs next to nothing."""
    if name not in _PLACES:
        message = f"module 'lading' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_PLACES[name]), name)
