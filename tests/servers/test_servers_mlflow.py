"""MLflow's scoring server, as far as it can be told without one."""

from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec
from lading.servers import find

SERVER = find("mlflow")


def test_a_model_that_is_none_of_mlflows_is_refused():
    facts = ModelFacts(Path("model.pkl"), "sklearn", "sklearn", "pickle")
    with pytest.raises(SpecError, match="expected an MLflow model folder"):
        SERVER.needs(PackageSpec(), facts)


def test_a_wanted_address_is_told_by_mlflows_variables():
    assert SERVER.listen("127.0.0.1", 1234).variables == {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": "1234"}
