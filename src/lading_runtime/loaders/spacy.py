"""A pipeline of spaCy's in, the categories of texts, as MLflow has them, or all it says of them out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load the folder `file`.

    `imports` are modules that register parts; `answer` is `doc` for all that the pipeline says of a text.
    """
    import pandas as pd
    import spacy  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for name in options.get("imports") or ():
        importlib.import_module(str(name))
    pipeline = spacy.load(os.path.join(path, str(options["file"])))  # noqa: PTH118 - see pickle.py
    is_whole = options.get("answer") == "doc"

    def predict(data: Any) -> Any:
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        if len(frame.columns) != 1:
            message = f"got {len(frame.columns)} columns, expected one of texts"
            raise ValueError(message)
        docs = [pipeline(str(text)) for text in frame.iloc[:, 0]]
        return pd.DataFrame({"predictions": [doc.to_json() if is_whole else doc.cats for doc in docs]})

    return Table(predict, by_columns=True)
