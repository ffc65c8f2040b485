"""The import paths that Azure ML's scripts know in, our modules out; what is installed always comes first.

Standard library only, Python 3.8: this is in the model's own process.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Optional

from lading_runtime import __file__ as package_file

_OURS = "lading_runtime.azureml."
# packages, and modules that are others of ours
_PACKAGES = {
    "azureml",
    "azureml.contrib",
    "azureml.contrib.services",
    "azureml_inference_server_http",
    "azureml_inference_server_http.api",
    "inference_schema",
    "inference_schema.parameter_types",
}
_MODULES = {
    "azureml.contrib.services.aml_request": "aml_request",
    "azureml.contrib.services.aml_response": "aml_response",
    "azureml_inference_server_http.api.aml_request": "aml_request",
    "azureml_inference_server_http.api.aml_response": "aml_response",
    "inference_schema.schema_decorators": "schema",
    "inference_schema.schema_util": "schema",
    **{
        f"inference_schema.parameter_types.{name}_parameter_type": "parameter_types"
        for name in ("abstract", "numpy", "pandas", "standard_py")
    },
}
SCHEMAS = ("inference_schema.schema_util", _OURS + "schema")
"""What tells whether a function is decorated: inference-schema's own, or ours."""
REQUESTS = tuple(name for name, ours in _MODULES.items() if ours == "aml_request")
"""Where `rawhttp` may come from, Azure's own packages too: each remembers whether it was asked for."""


class _Finder:
    """The last of the finders: asked for what no other has found, it can take nobody's place."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:  # noqa: UP045, ANN401
        """Tell how to make one of the modules."""
        del path, target
        if name in _PACKAGES:
            return ModuleSpec(name, _LOADER, origin=package_file, is_package=True)
        return ModuleSpec(name, _LOADER, origin=package_file) if name in _MODULES else None


class _Loader:
    def create_module(self, _: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Give it the names of ours."""
        ours = _MODULES.get(module.__name__)
        if ours is not None:
            values = vars(importlib.import_module(_OURS + ours))
            vars(module).update({key: one for key, one in values.items() if not key.startswith("_")})


_LOADER: Any = _Loader()


def install() -> None:
    """Let Azure ML's import paths be found."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.append(_Finder())  # importlib.abc would cost 10 ms


def wants_request() -> bool:
    """Tell whether `@rawhttp` has been used, as Azure's server does: anywhere, for it is one switch."""
    known = [sys.modules.get(name) for name in (*REQUESTS, _OURS + "aml_request")]
    return any(getattr(one, "_rawHttpRequested", False) for one in known if one is not None)
