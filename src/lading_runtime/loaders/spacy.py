"""A pipeline of spaCy's in, the categories of texts out, as MLflow's own loader has them."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load the folder `file`."""
    import pandas as pd
    import spacy  # type: ignore[import-not-found,import-untyped,unused-ignore]

    pipeline = spacy.load(os.path.join(path, str(options["file"])))  # noqa: PTH118 - see pickle.py

    def predict(data: Any) -> Any:
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        if len(frame.columns) != 1:
            message = f"got {len(frame.columns)} columns, expected one of texts"
            raise ValueError(message)
        return pd.DataFrame({"predictions": [pipeline(str(text)).cats for text in frame.iloc[:, 0]]})

    return Table(predict, by_columns=True)
