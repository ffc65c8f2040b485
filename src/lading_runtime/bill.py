"""A bill's JSON in, what the launcher needs of it out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

DEFAULT_PATH = "/opt/lading/bill.json"


_BY_WORKER = ("onnx",)
"""Ways to compile whose forms need libraries, which the front has not."""


class BillError(Exception):
    """The bill cannot be read, or is none."""


class Bill(NamedTuple):
    """The part of a bill that serving needs."""

    name: str
    version: str
    """What the model is called here: as whoever serves it says, else as the package calls itself."""
    lading: str
    model: dict[str, Any]
    """`path`, `loader`, `loader_options`, `format`, `signature`."""
    interpreter: str
    """The Python of the model's environment."""
    variables: dict[str, str]
    """What the author set for the model's environment."""
    code: dict[str, Any] | None
    """`path` and `entry` of the routine."""
    text: bytes = b""
    """The file itself, whose digest names the package where nobody has handed over its own."""
    own_name: str = ""
    own_version: str = ""
    """What the package calls itself, which is answered too."""
    fetches: bool = False
    """Whether the model, or another asset, is fetched at start."""

    @property
    def compiled(self) -> str | None:
        """The folder of the form that the front answers with; None where a worker does."""
        form = self.model.get("compiled")
        return str(form["path"]) if form and form.get("way") not in _BY_WORKER else None


def load(path: str, environ: Mapping[str, str] = os.environ) -> Bill:
    """Read a bill; raise BillError, which says what is missing, for anything else.

    A package knows nothing of its tags, for its digest may not: whoever serves it by one says so in
    `LADING_SERVED_NAME` and `LADING_SERVED_VERSION`.
    """
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - pathlib would cost 3 ms before the worker starts
            text = stream.read()
            document = json.loads(text)
    except OSError as error:
        raise BillError(f"{path}: {error.strerror}; LADING_BILL names another file") from error
    except ValueError as error:
        raise BillError(f"{path}: not JSON: {error}") from error
    try:
        environment = document["environment"]
        model = document["model"]
        name, version = str(document.get("name") or "model"), str(document.get("version") or "1")
        return Bill(
            name=environ.get("LADING_SERVED_NAME") or name,
            version=environ.get("LADING_SERVED_VERSION") or version,
            lading=str(document.get("lading") or ""),
            model=_served(model),
            interpreter=os.path.join(environment["path"], "bin", "python"),  # noqa: PTH118 - as above
            variables=dict(environment.get("variables") or {}),
            code=document.get("code"),
            text=text,
            own_name=name,
            own_version=version,
            fetches="download" in (one.get("mode") for one in (model, *(document.get("inputs") or ()))),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = "expected an object with environment.path, model.path and model.loader"
        raise BillError(f"{path}: no bill ({error!r}): {what}") from error


def _served(model: dict[str, Any]) -> dict[str, Any]:
    """Return the model that a worker loads: where a form answers by a worker, that form."""
    form = model.get("compiled")
    if form and form.get("way") in _BY_WORKER:
        return {**model, "path": str(form["path"]), "loader": "compiled", "loader_options": {}}
    return {"loader_options": {}, **model, "path": str(model["path"]), "loader": str(model["loader"])}
