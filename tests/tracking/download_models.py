"""Fetch what the tests ask for, by MLflow itself: `python download_models.py FOLDER URI…`."""

import sys
from pathlib import Path

import mlflow.artifacts

for number, uri in enumerate(sys.argv[2:]):
    folder = Path(sys.argv[1]) / str(number)
    folder.mkdir(parents=True)
    found = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    (Path(sys.argv[1]) / f"{number}.path").write_text(str(found))
