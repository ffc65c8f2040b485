"""A model of Prophet, as JSON, in; something to predict with out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file`: what `model_to_json` gave, or that as a text in another JSON, as MLflow has it."""
    from prophet.serialize import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        model_from_json,
    )

    with open(os.path.join(path, str(options["file"])), encoding="utf-8") as stream:  # noqa: PTH118, PTH123
        text = stream.read()
    model = model_from_json(json.loads(text) if text.lstrip().startswith('"') else text)
    return Table(model.predict, by_columns=True)
