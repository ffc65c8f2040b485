"""MLServer in a package: the real one, its files, and how it is asked."""

import json
from pathlib import Path

import pytest
import tritonclient.http

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, ServerSettings
from lading.servers import find
from models import IRIS, rows, train

SERVER = find("mlserver")
PICKLE = ModelFacts(
    Path("model.joblib"), "sklearn", "sklearn", "pickle", {"file": "model.joblib", "method": "predict_proba"}
)


@pytest.fixture(scope="module")
def served(flow, packed, serve):
    assert packed("flow-mlserver", {"model": str(flow), "server": "mlserver"})["report"]["matched"] == 3
    with serve("flow-mlserver:1") as found:
        yield found


@pytest.mark.network
def test_the_real_server_speaks_v2(served):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("flow-mlserver")
        assert [one["name"] for one in client.get_model_metadata("flow-mlserver")["inputs"]] == list(
            IRIS.data
        )
    assert json.loads(served("/invocations", rows(0, 149))[1]) == {"predictions": [0, 2]}


@pytest.mark.network
@pytest.mark.parametrize("inputs", [rows(0, 75, 149), IRIS.data.iloc[[0, 75, 149]].to_numpy().tolist()])
def test_a_recorded_example_is_asked_of_the_real_server_column_by_column(served, inputs):
    assert served.predictions(inputs) == train().predict(IRIS.data.iloc[[0, 75, 149]]).tolist()


def test_its_files_name_the_model_and_its_runtime():
    spec = PackageSpec(
        name="team/iris", version="3", server_settings=ServerSettings(configuration={"debug": "true"})
    )
    files = {
        path.rpartition("/")[2]: json.loads(data) for path, data in SERVER.needs(spec, PICKLE).files.items()
    }
    assert files["settings.json"]["debug"] is True
    assert files["model-settings.json"] == {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {
            "uri": "/opt/lading/model/model.joblib",
            "version": "3",
            "extra": {"predict_fn": "predict_proba"},
        },
    }


def test_a_model_without_a_runtime_is_refused():
    with pytest.raises(SpecError, match="got a model of format 'python'"):
        SERVER.needs(PackageSpec(), ModelFacts(Path("score.py"), "python", "python", "routine"))
