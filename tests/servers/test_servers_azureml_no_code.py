"""The script that an MLflow model gets for Azure ML's server: what each kind of model is handed by it.

Run in a package's own environment, with the real MLflow and inference-schema; each model tells what it got.
"""

import json

import pytest
import yaml

from lading import settings
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.pipeline.running import temporary_folder, user

pytestmark = pytest.mark.network

LOADER = """\
import numpy, pandas

class Tells:
    def predict(self, data, params=None):
        return {**described(data), "params": params}

def described(data):
    if isinstance(data, pandas.DataFrame):
        kinds = {name: str(kind) for name, kind in data.dtypes.items()}
        return {"kind": "frame", "of": kinds, "data": data.to_numpy().tolist()}
    if isinstance(data, dict):
        return {"kind": "named", "of": {name: described(one) for name, one in data.items()}}
    return {"kind": type(data).__name__, "of": str(data.dtype), "data": data}

def _load_pyfunc(_):
    return Tells()
"""
DRIVE = """\
import importlib.util, json, os, sys
os.environ["AZUREML_MODEL_DIR"] = "/cases"
answers = []
for number, (model, body) in enumerate(json.load(open("/cases/bodies.json"))):
    os.environ["MLFLOW_MODEL_FOLDER"] = model
    name = "script%d" % number
    spec = importlib.util.spec_from_file_location(name, "/var/mlflow_resources/mlflow_score_script.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.init()
    try:
        answers.append(module.run(**body))
    except Exception as error:
        answers.append(type(error).__name__)
print("\\n" + json.dumps(answers), flush=True)
"""
COLUMNS = [{"type": "integer", "name": "a"}, {"type": "string", "name": "s"}, {"type": "double", "name": "x"}]


def tensor(dtype, shape, **name):
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **name}


MODELS = {
    "columns": {"inputs": COLUMNS},
    "params": {
        "inputs": COLUMNS[:1],
        "params": [{"name": "k", "default": "d", "type": "string", "shape": None}],
    },
    "tensor": {"inputs": [tensor("float32", [-1, 2])]},
    "named": {"inputs": [tensor("float32", [-1, 2], name="a"), tensor("int64", [-1], name="b")]},
    "none": {},
    "example": {"inputs": COLUMNS[2:]},
}
SPLIT = {"columns": ["x", "a", "s"], "index": [4], "data": [[1, 2, 3]]}
CASES = [
    (
        ("columns", {"input_data": SPLIT}),
        {"kind": "frame", "of": {"a": "int32", "s": "object", "x": "float64"}, "data": [[2, 3, 1.0]]},
    ),
    (("columns", {"input_data": [[1, 2, 3]]}), "AttributeError"),
    (
        ("params", {"input_data": {"columns": ["a"], "data": [[1]]}, "params": {"k": "mine"}}),
        {"kind": "frame", "of": {"a": "int32"}, "data": [[1]], "params": {"k": "mine"}},
    ),
    (
        ("params", {"input_data": {"columns": ["a"], "data": [[1]]}}),
        {"kind": "frame", "of": {"a": "int32"}, "data": [[1]], "params": {"k": "d"}},
    ),
    (("tensor", {"input_data": [[1, 2]]}), {"kind": "ndarray", "of": "float32", "data": [[1.0, 2.0]]}),
    (
        ("named", {"input_data": {"a": [[1, 2]], "b": [3]}}),
        {
            "kind": "named",
            "of": {
                "a": {"kind": "ndarray", "of": "float32", "data": [[1.0, 2.0]]},
                "b": {"kind": "ndarray", "of": "int64", "data": [3]},
            },
        },
    ),
    (("none", {"input_data": [[1, 2]]}), {"kind": "ndarray", "of": "int64", "data": [[1, 2]]}),
    (
        ("none", {"input_data": {"columns": ["x"], "index": [0], "data": [[1]]}}),
        {"kind": "frame", "of": {"x": "int64"}, "data": [[1]]},
    ),
    (
        ("none", {"input_data": {"t": [1.5]}}),
        {"kind": "named", "of": {"t": {"kind": "ndarray", "of": "float64", "data": [1.5]}}},
    ),
    # the example's column is of whole numbers, the signature's is not, and MLflow takes no other
    (
        ("example", {"input_data": {"columns": ["x"], "data": [[1.5]]}}),
        {"kind": "frame", "of": {"x": "float64"}, "data": [[1.5]]},
    ),
]


@pytest.fixture(scope="module")
def answers(lading, flow, packed, tmp_path_factory):
    spec = {"model": str(flow), "server": "azureml_online", "compile": "off"}
    packed("flow-azureml_online", spec, "--no-verify")
    (cases := tmp_path_factory.mktemp("no-code") / "cases").mkdir()  # which the sandbox's user may read
    for name, signature in MODELS.items():
        (cases / name / "code").mkdir(parents=True)
        (cases / name / "code" / "tells.py").write_text(LOADER)
        document = {"flavors": {"python_function": {"loader_module": "tells", "code": "code"}}}
        if signature:
            document["signature"] = {key: json.dumps(value) for key, value in signature.items()}
        if name == "example":
            (cases / name / "example.json").write_text('{"columns": ["x"], "data": [[1]]}')
            document["saved_input_example_info"] = {"artifact_path": "example.json", "type": "dataframe"}
        (cases / name / "MLmodel").write_text(yaml.safe_dump(document))
    (cases / "bodies.json").write_text(json.dumps([case for case, _ in CASES]))
    context = Context(settings.load({}, home=lading.home))
    image = shelf.find(context, "flow-azureml_online:1").image
    sandbox = context.sandbox(image.layers, platform=image.platform, user=user(image))
    with temporary_folder() as tmp:
        command = ["/opt/lading/env/bin/python", "-c", DRIVE]
        running = sandbox.start(command, env={"HOME": "/tmp"}, tmp=tmp, mounts={"/cases": cases})
        try:
            assert running.wait(240) == 0, running.output()
            return json.loads(running.output().strip().splitlines()[-1])
        finally:
            running.stop(0)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case[0] for case, _ in CASES])
def test_input_data_is_cast_as_inference_schema_casts_it(answers, number):
    expected = CASES[number][1]
    assert answers[number] == ({"params": None, **expected} if isinstance(expected, dict) else expected)
