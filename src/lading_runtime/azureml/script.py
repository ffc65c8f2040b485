"""Azure ML's scoring scripts: what `run` is given where it is decorated, and what its answer is.

As azureml-inference-server-http 1.5.1 has it (server/user_script.py, input_parsers.py).
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lading_runtime.azureml import modules
from lading_runtime.azureml.aml_request import AMLRequest
from lading_runtime.azureml.values import Headers, titled
from lading_runtime.loaders.answering import Routine, Runner, raw
from lading_runtime.typed.call import HEADERS
from lading_runtime.worker import inputs

_MOST_LINES = 200
_LOG_FORMAT = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
_JSON = "application/json"
_ANY = {"input": {}, "output": {}, "media": ["*/*"]}


def find(function: Callable[..., Any], runner: Runner) -> Routine | None:
    """Return what calls a `run` that is decorated by `@rawhttp` or `@input_schema`; None of any other.

    Raises TypeError where it is both.
    """
    is_raw, schemas = modules.wants_request(), _schemas(function)
    if is_raw and schemas is not None:
        message = "run() cannot be decorated with both @rawhttp and @input_schema"
        raise TypeError(message)
    if is_raw:
        return RawHttp(runner)
    return None if schemas is None else ByName(runner, _swagger(schemas, function))


def is_azures() -> bool:
    """Tell whether Azure ML's variables name the script, as in a package that was described in its words."""
    return bool(os.environ.get("AZUREML_ENTRY_SCRIPT"))


def prepare(folder: str) -> None:
    """Set what scripts read of their surroundings, and find modules where Azure's server finds them."""
    root = os.environ.setdefault("AML_APP_ROOT", folder)
    source = os.environ.get("AZUREML_SOURCE_DIRECTORY")
    for one in (root, *([os.path.join(root, source)] if source else [])):  # noqa: PTH118
        if one not in sys.path:
            sys.path.append(one)


def show_logs() -> None:
    """Have what a script logs from INFO on printed, as Azure's server does, unless the script sees to it."""
    logging: Any = sys.modules.get("logging")
    if is_azures() and logging is not None and not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)


def tell_of(folder: str) -> None:
    """Print what a model's folder has, as Azure's server does where `init` fails: it is often not there."""
    lines = [
        f"{os.path.relpath(place, folder)}/{name}" for place, _, names in os.walk(folder) for name in names
    ]
    more = f"\n… {len(lines)} in all" if len(lines) > _MOST_LINES else ""
    listed = "\n".join(sorted(lines)[:_MOST_LINES])
    sys.stderr.write(f"the model's folder {folder} has {len(lines)} files:\n{listed}{more}\n")


def marked(routine: Routine) -> Routine:
    """Have the front know that it is a scoring script, whose `run` is given what Azure's server gives."""
    routine.facts = {**routine.facts, "azures": True}
    return routine


def driven(module: ModuleType) -> ModuleType:
    """Return the module whose `run` is called: behind a driver, as older tools generate it, the script's."""
    behind = getattr(module, "driver_module", None)
    return behind if isinstance(behind, ModuleType) and hasattr(behind, "run") else module


def _schemas(function: Callable[..., Any]) -> ModuleType | None:
    """Return inference_schema, where it reads the arguments."""
    known = filter(None, map(sys.modules.get, modules.SCHEMAS))
    return next((one for one in known if one.is_schema_decorated(function)), None)


def _swagger(schemas: Any, function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return what Swagger says of a decorated function, and in which versions."""
    return {
        "input": schemas.get_input_schema(function),
        "output": schemas.get_output_schema(function),
        "versions": list(schemas.get_supported_versions(function)),
    }


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [one for one in inspect.signature(function).parameters.values() if one.name != HEADERS]


class RawHttp(Routine):
    """A function that is given the request itself."""

    def __init__(self, runner: Runner) -> None:
        """Tell the front that it needs all of a request."""
        super().__init__(runner)
        self._name = _parameters(runner.function)[0].name
        self.facts = self._facts(_ANY, request=True)

    def begin(self, request: inputs.Request) -> Any:
        """Call it with the request as it came; of what came by a message of another kind, its body."""
        if request.content not in {"json", "media"}:
            raise inputs.RefusedError("this routine takes a whole body")
        about = request.about
        said = about.get("request") or {
            "method": "POST",
            "target": "/score",
            "headers": {"content-type": _JSON},
        }
        headers = Headers((titled(name), value) for name, value in said["headers"].items())
        given = AMLRequest(said["method"], said["target"], headers, request.text())
        return raw(self.runner.function(**{self._name: given}, **self._more(request)), request)


class ByName(Routine):
    """A function whose parameters are an object's values; what decorates it makes of them what it wants."""

    def __init__(self, runner: Runner, swagger: Mapping[str, Any]) -> None:
        """Look at the parameters once."""
        super().__init__(runner)
        self._parameters = _parameters(runner.function)
        media = {"input": {}, "output": {}, "media": [_JSON]}
        self.facts = self._facts(media, by_name=True, swagger=swagger)

    def begin(self, request: inputs.Request) -> Any:
        """Read the body, refusing it in the words of Azure's server."""
        if request.content not in {"json", "media"}:
            raise inputs.RefusedError("this routine takes a JSON object")
        body = request.text()
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            why = (
                f"could not be decoded as JSON: {error}" if body else "is empty. Expecting a JSON dictionary."
            )
            raise inputs.RefusedError(f"POST body {why}") from error
        if not isinstance(document, dict):
            raise inputs.RefusedError("POST body should be a JSON dictionary.")
        arguments = {}
        for one in self._parameters:
            value = document.get(one.name, one.default)
            if value is inspect.Parameter.empty:
                raise inputs.RefusedError(f"A value is not provided for the {one.name!r} parameter.")
            arguments[one.name] = value
        return raw(self.runner.function(**arguments, **self._more(request)), request)
