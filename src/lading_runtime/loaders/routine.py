"""An inference routine of one's own in, something that answers a JSON body out.

`file.py`: `init()`, if there is one, at the start, then `run(data)` for each request. `file.py:function`: the
function for each request. `file.py:Class`: `load()`, if there is one, then `predict(data)`.

`data` is the parsed JSON body; a routine whose first parameter is annotated `str` or named `raw_data` is
given its text, one annotated `bytes` its bytes.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lading_runtime.worker import inputs


def load(path: str, options: Mapping[str, Any]) -> Routine:
    """Import the routine and let it load its model, whose folder `init` and `load` may ask for."""
    code = options["code"]
    file, _, name = str(code["entry"]).partition(":")
    os.chdir(str(code["path"]))  # where its author ran it
    module = _import(os.path.join(str(code["path"]), file))  # noqa: PTH118
    function, begin = _find(module, file, name)
    if inspect.iscoroutinefunction(function):
        message = f"{file}: {function.__name__} is async, expected a plain function"
        raise TypeError(message)
    if begin is not None:
        begin(*([path] if _takes_argument(begin) else []))
    return Routine(function, str(options.get("input") or _style(function)))


def _import(file: str) -> ModuleType:
    folder, name = os.path.split(file)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    stem = os.path.splitext(name)[0]  # noqa: PTH122
    spec = importlib.util.spec_from_file_location(stem, file)
    if spec is None or spec.loader is None or not os.path.isfile(file):  # noqa: PTH113
        message = f"{file}: no such Python file"
        raise FileNotFoundError(message)
    module = importlib.util.module_from_spec(spec)
    # a file called like a module that is there already must not take its place
    sys.modules.setdefault(stem, module)
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, file: str, name: str) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Return what answers a request, and what loads the model first."""
    entry = getattr(module, name or "run", None)
    if inspect.isclass(entry):
        instance: Any = entry()
        if not callable(getattr(instance, "predict", None)):
            message = f"{file}: class {name!r} has no predict"
            raise TypeError(message)
        return instance.predict, getattr(instance, "load", None)
    if not callable(entry):
        wanted = repr(name) if name else "'run'"
        message = f"{file}: got no {wanted}, expected a function" + (
            "" if name else ", or an entry 'file.py:name'"
        )
        raise TypeError(message)
    return entry, (None if name else getattr(module, "init", None))


def _takes_argument(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(
        one.default is one.empty and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}
        for one in parameters
    )


def _style(function: Callable[..., Any]) -> str:
    """Tell what a routine wants: `json`, `text` or `bytes`."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        message = f"{function.__name__} takes no argument, expected one: the request's data"
        raise TypeError(message)
    annotation = {str: "str", bytes: "bytes"}.get(parameters[0].annotation, parameters[0].annotation)
    if annotation == "bytes":
        return "bytes"
    return "text" if annotation == "str" or parameters[0].name == "raw_data" else "json"


class Routine:
    """A function of one's own."""

    def __init__(self, function: Callable[[Any], Any], style: str) -> None:
        """Call `function` with `json`, `text` or `bytes`."""
        self._function = function
        self._style = style
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Answer one request; the parsed body is checked here, all the rest is the routine's own affair."""
        if self._style == "json":
            return self._function(request.json())
        return self._function(request.text() if self._style == "bytes" else request.text().decode())
