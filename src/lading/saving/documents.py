"""What was written and found in, MLmodel and the files beside it out (mlflow/models/model.py)."""

from __future__ import annotations

import datetime as dt
import json
import platform
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lading.core.signature import Signature
from lading.saving.flavour import Flavour, Written
from lading.saving.sample import Sample

OUTPUTS = "lading_output_example.json"
"""What the model itself answered to the example."""
_SHIMS = Path(__file__).parent / "shims"


def write(
    folder: Path,
    flavour: Flavour,
    written: Written,
    *,
    code: Sequence[Path],
    sample: Sample | None,
    answer: object,
    signature: Signature | None,
    metadata: Mapping[str, Any],
    version: str,
) -> None:
    """Write code, examples and MLmodel."""
    shipped = _ship(folder, written, (*flavour.code, *code))
    pyfunc = {
        "loader_module": written.loader_module,
        "python_version": platform.python_version(),
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "data": written.data,
        "code": "code" if shipped else None,
        **written.pyfunc,
    }
    ours: dict[str, Any] = {"version": version, **written.lading}
    document: dict[str, Any] = {
        "flavors": {"python_function": pyfunc, flavour.name: {**written.settings, "code": pyfunc["code"]}},
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "lading": ours,
    }
    if metadata:
        document["metadata"] = dict(metadata)
    if signature:
        parts = signature.to_json()
        document["signature"] = {key: json.dumps(rows) if rows else None for key, rows in parts.items()}
    if sample:
        names = {"artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json"}
        document["saved_input_example_info"] = {**sample.info, **names}
        _json(folder / names["artifact_path"], sample.example)
        _json(folder / names["serving_input_path"], sample.serving)
        _json(folder / OUTPUTS, answer)
        ours["outputs"] = OUTPUTS
    (folder / "MLmodel").write_text(yaml.safe_dump(document), encoding="utf-8")


def list_requirements(folder: Path, lines: Sequence[str], notes: Sequence[str]) -> None:
    """Write requirements.txt, conda.yaml and python_env.yaml."""
    python = platform.python_version()
    text = "".join(f"# {one}\n" for one in notes) + "".join(f"{one}\n" for one in lines)
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": list(lines)}],
    }
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False), encoding="utf-8")
    env = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(env, sort_keys=False), encoding="utf-8")


def _ship(folder: Path, written: Written, code: Sequence[Path]) -> bool:
    """Copy the author's code, and the module that MLflow loads the model by, where it is one of ours."""
    shim = _SHIMS / f"{written.loader_module}.py"
    for one in (*code, *([shim] if shim.is_file() else [])):
        target = folder / "code" / one.name
        target.parent.mkdir(exist_ok=True)
        if one.is_dir():
            shutil.copytree(one, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copyfile(one, target)
    return (folder / "code").is_dir()


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
