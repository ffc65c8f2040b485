"""A folder of sentence-transformers in, the embeddings of texts out; the network is never asked."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.loaders.table import Table

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def load(path: str, options: Mapping[str, Any]) -> Table:
    """Load `file`; `remote_code` runs the code that it brings."""
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    import numpy as np
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from sentence_transformers import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        SentenceTransformer,
    )

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    model = SentenceTransformer(
        os.path.join(path, str(options["file"])),  # noqa: PTH118 - see pickle.py
        device="cuda" if torch.cuda.is_available() else "cpu",
        trust_remote_code=bool(options.get("remote_code")),
    )

    def predict(data: Any) -> Any:
        texts = np.asarray(data, dtype=object)
        if texts.ndim > 1 and texts.shape[1] != 1:
            message = f"got {texts.shape[1]} columns, expected one of texts"
            raise ValueError(message)
        return model.encode([str(one) for one in texts.reshape(-1)], show_progress_bar=False)

    return Table(predict, width=None)
