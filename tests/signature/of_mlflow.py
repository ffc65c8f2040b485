"""Ask MLflow, which runs this: what it infers of files in a folder, or reads of documents on its input."""

import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
READ = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".arrow": pd.read_feather,
    ".npy": np.load,
    ".npz": lambda path: dict(np.load(path)),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
}


def frame(document):
    """Make the frame that a request of MLflow's server says, else nothing."""
    if isinstance(document, dict) and "dataframe_split" in document:
        return pd.DataFrame(**document["dataframe_split"])
    if isinstance(document, dict) and "dataframe_records" in document:
        return pd.DataFrame(document["dataframe_records"])
    return None


def data(path):
    if path.suffix in READ:
        return READ[path.suffix](path)
    document = json.loads(path.read_text())
    found = frame(document)
    return document if found is None else found


def plain(signature):
    return {key: json.loads(part) for key, part in signature.to_dict().items() if part}


def infer(path):
    if path.name.startswith("params"):
        try:
            return plain(infer_signature(params=json.loads(path.read_text())))["params"]
        except Exception:  # noqa: BLE001 - whatever MLflow raises
            return None
    return plain(infer_signature(data(path)))["inputs"]


def read(document):
    try:
        return plain(ModelSignature.from_dict({key: json.dumps(part) for key, part in document.items()}))
    except Exception:  # noqa: BLE001 - whatever MLflow raises
        return None


if __name__ == "__main__":
    if len(sys.argv) > 1:
        found = {path.name: infer(path) for path in sorted(Path(sys.argv[1]).iterdir())}
    else:
        found = [read(document) for document in json.load(sys.stdin)]
    json.dump(found, sys.stdout)
