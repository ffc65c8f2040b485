"""An inference routine of one's own in, something that answers requests out.

`file.py`, or `file.py:run`: `init()`, if there is one, at the start, then `run(data)` for each request.
`file.py:function`: another function for each request. `file.py:Class`: `load()` or `setup()`, if there is
one, then `predict(data)`.

A routine whose one parameter has no hint is given the parsed JSON body, as it is; one named `raw_data`, or
of `run` annotated `str` or `bytes`, its text or bytes, and so is one that calls `json.loads` on it. Any other
has its parameters read by their hints. Where Azure ML names the script, or decorates `run`, its rules hold.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, Optional

from lading_runtime.azureml import deadline, modules, script
from lading_runtime.download import view
from lading_runtime.loaders import answering
from lading_runtime.typed.call import HEADERS, Call


class _Found(NamedTuple):
    """What answers requests, what loads the model first, and whether its author says it takes batches."""

    function: Callable[..., Any]
    begin: Optional[Callable[..., Any]]  # noqa: UP045 - evaluated under Python 3.8 too
    batch: Optional[bool]  # noqa: UP045


def load(path: str, options: Mapping[str, Any]) -> answering.Routine:
    """Import the routine and let it load its model, whose folder `init` and `load` may ask for."""
    code = options["code"]
    file, _, name = str(code["entry"]).partition(":")
    os.chdir(str(code["path"]))  # where its author ran it
    place = os.path.join(str(code["path"]), file)  # noqa: PTH118
    script.prepare(os.path.dirname(place))  # noqa: PTH120
    if folder := view.real(os.environ):
        os.environ[view.VARIABLE] = folder
    modules.install()
    module = _import(place)
    function, begin, batch = _find(module, file, name, path)
    script.show_logs()
    runner = answering.Runner(function)
    if begin is not None:
        try:
            runner.finish(begin(*([path] if _takes_argument(begin) else [])))
        except FileNotFoundError:
            script.tell_of(os.environ.get("AZUREML_MODEL_DIR", path))
            raise
    runner.function = function if runner.is_async or runner.is_stream else deadline.limited(function)
    decorated = script.find(function, runner)
    if decorated is not None:
        return script.marked(decorated)
    style = str(options.get("input") or _style(function, batch=batch))
    if style == "typed":
        return answering.Typed(runner, Call(runner.function, batch=batch))
    plain = answering.Plain(runner, style)
    is_scripts = style == "text" and begin is not None and not name
    return script.marked(plain) if is_scripts else plain


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


def _find(module: ModuleType, file: str, name: str, path: str) -> _Found:
    """Find the routine in its module; make the object of a class."""
    entry = getattr(module if name else script.driven(module), name or "run", None)
    if inspect.isclass(entry):
        instance: Any = entry(*([path] if _takes_argument(entry) else []))
        predict = _method(instance)
        if not callable(predict):
            message = f"{file}: class {name!r} has no predict"
            raise TypeError(message)
        begin = getattr(instance, "load", None) or getattr(instance, "setup", None)
        return _Found(predict, begin, _batch(predict, instance))
    if not callable(entry):
        wanted = repr(name) if name else "'run'"
        message = f"{file}: got no {wanted}, expected a function" + (
            "" if name else ", or an entry 'file.py:name'"
        )
        raise TypeError(message)
    begin = getattr(module, "init", None) if name in {"", "run"} else None
    return _Found(entry, begin if callable(begin) else None, _batch(entry, module))


def _method(instance: Any) -> Any:
    """Return what answers: `predict`, or Cog's `run`; of those that Cog's own class has, neither is meant."""
    for name in ("predict", "run"):
        owner = next((one for one in type(instance).__mro__ if name in one.__dict__), None)
        if owner is not None and owner.__module__.split(".")[0] != "cog":
            return getattr(instance, name)
    return getattr(instance, "predict", None)


def _batch(function: Any, owner: Any) -> bool | None:
    """Read `batch = True` of a function, its class or its module; anything but a truth value is their own."""
    for one in (function, owner):
        said = getattr(one, "batch", None)
        if isinstance(said, bool):
            return said
    return None


def _takes_argument(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # built in C
        return False
    return any(
        one.default is one.empty and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}
        for one in parameters
    )


def _style(function: Callable[..., Any], *, batch: bool | None) -> str:
    """Tell what a routine wants: `json`, `text` or `bytes` of the whole body, or its parameters: `typed`."""
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != HEADERS]
    if not parameters:
        message = f"{function.__name__} takes no argument, expected one: the request's data"
        raise TypeError(message)
    first, *others = parameters
    if script.is_azures() and getattr(function, "__name__", "") == "run":
        return "text"
    if first.kind in {first.KEYWORD_ONLY, first.VAR_KEYWORD}:
        return "typed"
    known: Mapping[Any, str] = {
        str: "str",
        bytes: "bytes",
        dict: "dict",
        list: "list",
        object: "object",
        Any: "Any",
    }
    try:
        annotation = known.get(first.annotation, first.annotation)
    except TypeError:  # not hashable
        annotation = ""
    if first.name == "raw_data":
        return "bytes" if annotation == "bytes" else "text"
    is_lone = not any(one.default is one.empty for one in others)
    if annotation is first.empty and not others and batch is None:
        return "text" if _reads_json(function, first.name) else "json"
    if function.__name__ != "run" or inspect.ismethod(function) or others or not is_lone or batch is not None:
        return "typed"
    return {
        "bytes": "bytes",
        "str": "text",
        "dict": "json",
        "list": "json",
        "object": "json",
        "Any": "json",
    }.get(annotation if isinstance(annotation, str) else "", "typed")


def _reads_json(function: Callable[..., Any], name: str) -> bool:
    """Tell whether a function calls `json.loads`, or another library's, on its parameter."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return any(_is_loads(one.func) and getattr(one.args[0], "id", "") == name for one in calls)


def _is_loads(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "loads" and "json" in getattr(function.value, "id", "")
    return getattr(function, "id", "") == "loads"
