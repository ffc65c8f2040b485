"""Vertex AI's routes: its own pattern, and those that its variables ask for."""

import json

import pytest

from lading_runtime.front import forms
from lading_runtime.front.contracts import vertex
from lading_runtime.front.messages import Refusal
from lading_runtime.front.schema import read

DEPLOYED = "/v1/endpoints/123/deployedModels/456"
ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def deployed(serve, named_model, iris_signature):
    environ = {"AIP_HEALTH_ROUTE": "/", "AIP_PREDICT_ROUTE": "/score"}
    with serve(named_model, signature=iris_signature, environ=environ) as served:
        yield served


@pytest.mark.parametrize("path", [DEPLOYED, f"{DEPLOYED}:predict"])
def test_both_default_routes_answer_health_and_predictions(iris_server, path):
    assert iris_server.get(path)[0] == 200
    document = {"instances": [ROW, ROW], "parameters": {"unknown": 1}}
    assert iris_server.post(document, path) == (200, {"predictions": [0, 0]})


def test_the_routes_that_the_platform_asks_for_come_first(deployed):
    assert json.loads(deployed.get("/")[1]) == {"live": True, "ready": True}
    assert deployed.post({"instances": [ROW]}, "/score") == (200, {"predictions": [0]})
    assert deployed.get("/v2/health/live")[0] == 200


def test_a_route_that_is_no_path_is_passed_over(capfd):
    asked = vertex.asked({"AIP_HEALTH_ROUTE": "health", "AIP_PREDICT_ROUTE": "/{x}"})
    assert not asked
    assert capfd.readouterr().err.count("ignored AIP_") == 2


@pytest.mark.parametrize("key", ["params", "parameters"])
def test_parameters_are_the_signatures_params(key):
    params = [{"name": "scale", "type": "double", "default": 1.0, "shape": None}]
    schema = read({"inputs": [{"type": "long", "name": "a"}], "params": params})
    assert forms.read(schema, {"instances": [[1]], key: {"scale": 2.0}}).params == {"scale": 2.0}
    assert forms.read(schema, {"instances": [[1]]}).params == {"scale": 1.0}
    with pytest.raises(Refusal, match="both"):
        forms.read(schema, {"instances": [[1]], "params": {}, "parameters": {}})
