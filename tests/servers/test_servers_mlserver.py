"""MLServer's files, and what it cannot serve."""

import json
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, ServerSettings
from lading.servers import find

SERVER = find("mlserver")
PICKLE = ModelFacts(
    Path("model.joblib"), "sklearn", "sklearn", "pickle", {"file": "model.joblib", "method": "predict_proba"}
)


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
