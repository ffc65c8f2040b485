"""MLflow's own scoring server in a package: the real one, and what of it can be told without."""

import json
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec
from lading.servers import find
from models import IRIS, rows, train

SERVER = find("mlflow")


@pytest.fixture(scope="module")
def served(flow, packed, serve):
    assert packed("flow-mlflow", {"model": str(flow), "server": "mlflow"})["report"]["matched"] == 3
    with serve("flow-mlflow:1") as found:
        yield found


@pytest.mark.network
def test_the_real_server_answers_on_mlflows_routes(served):
    assert served("/ping") == served("/health") == (200, b"\n")
    assert served("/version") == (200, b"3.17.2")
    status, body = served("/invocations", rows(0, 75, 149))
    assert (status, json.loads(body)) == (200, {"predictions": [0, 1, 2]})
    status, body = served("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1]]}})
    assert (status, json.loads(body)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.network
@pytest.mark.parametrize("form", ["rows", "dataframe_records", "dataframe_split", "inputs"])
def test_a_recorded_example_of_any_form_is_asked_of_the_real_server(served, form):
    frame = IRIS.data.iloc[[0, 75, 149]]
    forms = {
        "rows": frame.to_numpy().tolist(),
        "dataframe_records": {"dataframe_records": frame.to_dict("records")},
        "dataframe_split": rows(0, 75, 149),
        "inputs": {"inputs": frame.to_dict("list")},
    }
    answer = served.predictions(forms[form])
    assert answer == {"predictions": train().predict(frame).tolist()}


def test_a_model_that_is_none_of_mlflows_is_refused():
    facts = ModelFacts(Path("model.pkl"), "sklearn", "sklearn", "pickle")
    with pytest.raises(SpecError, match="expected an MLflow model folder"):
        SERVER.needs(PackageSpec(), facts)


def test_a_wanted_address_is_told_by_mlflows_variables():
    assert SERVER.listen("127.0.0.1", 1234).variables == {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": "1234"}
