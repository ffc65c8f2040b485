"""List the names that `torch.save` writes of tensors and layers: `kind module name`, a line each.

    python tests/model/torch_names.py > src/lading/model/allowlist_torch.txt

Run where PyTorch is installed. Names come from two places: what `torch.load(…, weights_only=True)` lets
pass, but for what calls the functions that it is handed, and the modules defined in `torch.nn.modules`.
Functions are what layers hold as their activation.
"""

# the output is what it is for
# ruff: noqa: T201

from __future__ import annotations

import importlib
import inspect
import pkgutil

import torch
from torch import nn
from torch._weights_only_unpickler import _get_allowed_globals

CALLING = {
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_from_type_v2",
    "_rebuild_parameter_with_state",
    "_rebuild_wrapper_subclass",
}
ACTIVATIONS = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "tanhshrink",
]


def of_weights():
    for path, value in _get_allowed_globals().items():
        module, _, name = path.rpartition(".")
        if module.startswith("torch") and name not in CALLING:
            yield "call" if inspect.isroutine(value) else "class", module, name


def of_layers():
    for found in pkgutil.walk_packages(nn.modules.__path__, "torch.nn.modules."):
        for cls in vars(importlib.import_module(found.name)).values():
            if inspect.isclass(cls) and cls.__module__ == found.name and issubclass(cls, nn.Module):
                yield "class", cls.__module__, cls.__qualname__
    yield "class", "torch.nn.modules.linear", "_LinearWithBias"  # up to 1.8
    yield "class", "torch.nn.parallel.data_parallel", "DataParallel"


def of_functions():
    for name in ACTIVATIONS:
        function = getattr(nn.functional, name)
        yield "name", function.__module__, function.__qualname__


if __name__ == "__main__":
    print(f"# made by tests/model/torch_names.py with PyTorch {torch.__version__.partition('+')[0]}")
    for row in sorted({*of_weights(), *of_layers(), *of_functions()}):
        print(*row)
