"""A folder of Transformers in, a pipeline that is asked for texts out; the network is never asked."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file` as a pipeline of `task`; `remote_code` runs the code that it brings."""
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    import pandas as pd
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from transformers import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        pipeline,
    )

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    task = str(options["task"])
    asked = pipeline(
        task,
        model=os.path.join(path, str(options["file"])),  # noqa: PTH118 - see pickle.py
        device=0 if torch.cuda.is_available() else -1,
        trust_remote_code=bool(options.get("remote_code")),
    )

    def predict(data: Any) -> Any:
        frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        if task == "question-answering":
            names = list(frame.columns) if {"question", "context"} <= set(frame.columns) else [0, 1]
            rows = [dict(zip(names, row)) for row in frame[names].to_numpy()]  # noqa: B905
            return [asked(question=str(one[names[0]]), context=str(one[names[1]])) for one in rows]
        if len(frame.columns) != 1:
            message = f"got {len(frame.columns)} columns, expected one of texts"
            raise ValueError(message)
        return asked([str(text) for text in frame.iloc[:, 0]])

    return Table(predict, by_columns=True)
