"""MLflow's scoring server, as far as it can be told without one."""

from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, ServerSettings
from lading.servers import find

SERVER = find("mlflow")


def test_a_model_that_is_none_of_mlflows_is_refused():
    facts = ModelFacts(Path("model.pkl"), "sklearn", "sklearn", "pickle")
    with pytest.raises(SpecError, match="expected an MLflow model folder"):
        SERVER.needs(PackageSpec(), facts)


@pytest.mark.parametrize(
    ("saved_with", "asked", "beside"),
    [
        ("mlflow==2.22.5", None, ("starlette<1",)),
        ("mlflow==3.10.1", None, ("starlette<1",)),
        ("mlflow==3.12.0", None, ()),
        ("mlflow==2.8.1", None, ()),
        ("mlflow==2.8.1", "2.22.5", ("starlette<1",)),
        ("mlflow==2.22.5", ">=3", ()),
        ("numpy==2.0.0", None, ()),
    ],
)
def test_a_server_of_mlflows_that_starlette_1_would_break_is_kept_from_it(saved_with, asked, beside):
    facts = ModelFacts(Path("model"), "mlflow", "mlflow sklearn", "pyfunc", saved_with=(saved_with,))
    needs = SERVER.needs(PackageSpec(server_settings=ServerSettings(version=asked)), facts)
    assert needs.requirements == ("mlflow", *beside)


def test_a_wanted_address_is_told_by_mlflows_variables():
    assert SERVER.listen("127.0.0.1", 1234).variables == {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": "1234"}
