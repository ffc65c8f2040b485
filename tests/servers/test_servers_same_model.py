"""The same MLflow model behind one real server after another, each as its own clients ask it."""

import json

import pytest
import tritonclient.http

from models import IRIS, rows, train

pytestmark = pytest.mark.network

CHOSEN = IRIS.data.iloc[[0, 75, 149]]
FORMS = {
    "rows": CHOSEN.to_numpy().tolist(),
    "records": {"dataframe_records": CHOSEN.to_dict("records")},
    "split": rows(0, 75, 149),
    "columns": {"inputs": CHOSEN.to_dict("list")},
}


@pytest.fixture(scope="module", params=["mlflow", "mlserver", "azureml_online", "lading"])
def served(request, flow, packed, serve):
    name = f"flow-{request.param}"
    spec = {"model": str(flow), "server": request.param, "compile": "off"}
    packed(name, spec, "--no-verify")  # what is asked below is what verification would ask
    with serve(f"{name}:1") as found:
        yield found


def test_it_answers_as_the_model_and_on_its_own_routes(served):
    expected = train().predict(CHOSEN).tolist()
    native = served.bill.server.name == "lading"
    for form, inputs in FORMS.items():
        if native and form == "rows":
            continue  # it is as strict as MLflow, which the others' recorded rows are made fit for
        answer = served.predictions(inputs)
        answer = answer["predictions"] if isinstance(answer, dict) else answer
        assert answer == expected, form
    if more := {"mlflow": mlflow, "mlserver": mlserver}.get(served.bill.server.name):
        more(served)


def mlflow(served):
    assert served("/ping") == served("/health") == (200, b"\n")
    assert served("/version") == (200, b"3.17.2")
    status, body = served("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1]]}})
    assert (status, json.loads(body)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def mlserver(served):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("flow-mlserver")
        metadata = client.get_model_metadata("flow-mlserver")
    assert [one["name"] for one in metadata["inputs"]] == list(IRIS.data)
    assert json.loads(served("/invocations", rows(0, 149))[1]) == {"predictions": [0, 2]}
