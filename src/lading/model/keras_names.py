"""What a config of Keras may name: a module and a class in, whether it only keeps numbers out.

`keras.utils.get_file` downloads, `keras.saving.load_model` loads; so modules are listed, and within them
classes and functions by how Keras spells them. Keras 2 names a class alone.
"""

from __future__ import annotations

import re

_KINDS = (
    "activations",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "quantizers",
    "regularizers",
)
_MODULES = frozenset(
    {
        *(f"keras.{one}" for one in _KINDS),
        *(f"keras.src.{one}" for one in _KINDS),
        *(
            "keras.models",
            "keras.src.models.functional",
            "keras.src.models.sequential",
            "keras.src.engine.functional",
        ),
        *("keras.engine.functional", "keras.engine.sequential", "keras.src.engine.sequential"),
    }
)
_OF_FUNCTIONS = frozenset({"activations", "losses", "metrics"})
_MODELS = frozenset(
    {
        *("keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"),
        *("keras.engine.functional", "keras.engine.sequential", "keras.src.engine.functional"),
        "keras.src.engine.sequential",
    }
)
_LAYERS = re.compile(r"keras\.(?:src\.)?(?:layers|ops)(?:\.\w+)+")
_AT_TOP = frozenset({"DTypePolicy", "FloatDTypePolicy", "Functional", "KerasTensor", "Model", "Sequential"})
_DATA = frozenset(
    {
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
        "__tuple__",
        "TensorShape",
    }
)
_LOADING = frozenset({"Lambda", "SafeLambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
_NAME = re.compile(r"[A-Za-z_]\w*")
_OF_FILES = frozenset({"IndexLookup", "IntegerLookup", "StringLookup", "TFSMLayer", "TextVectorization"})


def is_known(module: object, name: str, registered: object) -> bool:
    """Tell whether Keras itself has it, and making it does no more than keep numbers."""
    if name in _DATA:
        return True
    if name in _LOADING or _NAME.fullmatch(name) is None:
        return False
    if module is None:
        # of Keras 2, whose own classes are registered under no package of theirs
        return not isinstance(registered, str) or ">" not in registered
    if module in _MODELS:
        return name in _AT_TOP
    if not isinstance(module, str) or (module not in _MODULES and _LAYERS.fullmatch(module) is None):
        return False
    # among layers what is no class may read or write
    return name[:1].isupper() or module.rpartition(".")[2] in _OF_FUNCTIONS


def reads_files(name: str, config: object) -> bool:
    """Tell whether a layer is given a file's name, where it could have its words by themselves."""
    if name not in _OF_FILES or not isinstance(config, dict):
        return False
    return name == "TFSMLayer" or isinstance(config.get("vocabulary"), str)
