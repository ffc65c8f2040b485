"""Where Azure ML's servers find code, model and the script of an MLflow model without one.

Code in /var/azureml-app/NAME, the model in /var/azureml-app/azureml-models/NAME/VERSION, where a folder keeps
its own name and a single file lies directly ("Understand how models are deployed", AZUREML_MODEL_DIR).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec

APP = "/var/azureml-app"
MLFLOW = "/var/mlflow_resources"
ONLINE_SCRIPT, BATCH_SCRIPT = "mlflow_score_script.py", "mlflow_batch_script.py"
"""What an MLflow model without a script of its own gets; each lies beside this file."""
_TELLS_MLFLOW = re.compile(r"""(?m)^[\s\-"']*mlflow(?:[-_.]skinny)?(?![\w\-.]*\w)""")


@dataclass(frozen=True, slots=True)
class Layout:
    """Absolute paths in the image, and what goes with them."""

    script: PurePosixPath
    model_folder: str
    """What AZUREML_MODEL_DIR is."""
    model_path: str
    code_path: str | None
    variables: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    """What the script needs besides the server and what the model tells."""


def lay_out(spec: PackageSpec, facts: ModelFacts, script_of_mlflow: str = ONLINE_SCRIPT) -> Layout:
    """Lay a package out; SpecError where there is no scoring script, and none can be made."""
    folder, path = model_places(spec)
    settings = spec.server_settings
    if facts.format == "mlflow" and facts.entry is None:
        script = PurePosixPath(MLFLOW, script_of_mlflow)
        source = Path(__file__).with_name(script_of_mlflow).read_bytes()
        variables = {"MLFLOW_MODEL_FOLDER": settings.model_folder or ""}
        # what Azure ML adds to a model's own list: the part of MLflow that loads models
        needed = ("pandas", *(() if _brings_mlflow(spec, facts) else ("mlflow-skinny",)))
        # code that the model ships lies in its own folder, where MLflow looks for it
        return Layout(
            script, folder, path, None, _variables(script, folder, variables), {str(script): source}, needed
        )
    if facts.code is None or facts.entry is None or ":" in facts.entry:
        what = f"got {facts.entry!r}, expected a scoring script with init() and run()"
        file, _, routine = (facts.entry or "").partition(":")
        fix = "set 'code' and 'entry: score.py'"
        if facts.code is not None and routine == "run":
            fix = f"define init() in {file}, which this server calls first; the server 'lading' needs none"
        raise SpecError(Issue("entry", what, fix))
    code = f"{APP}/{facts.code.name if facts.code.is_dir() else 'code'}"
    if code == f"{APP}/azureml-models":
        code = f"{APP}/code"
    script = PurePosixPath(code, facts.entry)
    return Layout(script, folder, path, code, _variables(script, folder, {}))


def model_places(spec: PackageSpec) -> tuple[str, str]:
    """Return AZUREML_MODEL_DIR, and where the model's own files begin: in the folder that a model keeps."""
    settings = spec.server_settings
    name = settings.model_name or spec.name or "model"
    mount = settings.model_mount_path or f"{APP}/azureml-models"
    folder = settings.mount_path or f"{mount}/{name}/{settings.model_version or spec.version or '1'}"
    return folder, f"{folder}/{settings.model_folder}" if settings.model_folder else folder


def _variables(script: PurePosixPath, folder: str, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "AML_APP_ROOT": str(script.parent),
        "AZUREML_ENTRY_SCRIPT": script.name,
        "AZUREML_MODEL_DIR": folder,
        **more,
    }


def _brings_mlflow(spec: PackageSpec, facts: ModelFacts) -> bool:
    """Tell whether the requirements name MLflow, or the part of it that loads models."""
    texts = [one.text for one in facts.requirements]
    asked = spec.requirements if spec.requirements is not None else facts.requirements_file
    if isinstance(asked, tuple):
        texts += asked
    elif asked is not None and asked.is_file():
        texts.append(asked.read_text(encoding="utf-8", errors="replace"))
    return any(_TELLS_MLFLOW.search(text) for text in texts)
