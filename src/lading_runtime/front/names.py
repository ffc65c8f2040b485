"""The name and version that a path asks for in; nothing, or a refusal, out."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lading_runtime.front.messages import Refusal
from lading_runtime.front.model import Model

# what platforms call the model that they deploy
_GIVEN = ("MODEL_NAME", "AIP_MODEL_NAME", "MLSERVER_MODEL_NAME")


def check(
    model: Model, name: str, version: str | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Refuse another version, and another name where the settings are strict about it.

    Under the name of its tag a model has the tag's version alone: its own may be that of another tag.

    By default any name is answered: KServe gives its own, which no package can know.
    """
    if model.settings.strict_model_name:
        check_known(model, name, environ)
    bill = model.bill
    if version is None or version == bill.version:
        return
    if version != bill.own_version or name == bill.name:
        raise Refusal(404, f"got version {version!r} of the model, expected {bill.version!r}")


def check_known(model: Model, name: str, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a name that is neither the package's nor the platform's for it."""
    if name != model.bill.name:
        given = [model.bill.name, model.bill.own_name, *map(environ.get, _GIVEN)]
        known = list(dict.fromkeys(filter(None, given)))
        if name not in known:
            raise Refusal(404, f"got model {name!r}, expected {' or '.join(map(repr, known))}")
