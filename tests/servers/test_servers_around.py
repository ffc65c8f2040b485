"""BentoML and Cog: real ones around an estimator, and the author's own code for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, Route, ServerSettings
from lading.servers import find
from models import write_iris

OWN = ModelFacts(Path("code"), "python", "python", "routine", code=Path("code"), entry="serving/own.py:Model")
BENTOML, COG = find("bentoml"), find("cog")


@pytest.mark.network
@pytest.mark.parametrize("server", ["bentoml", "cog"])
def test_the_real_server_answers_for_an_estimator(packed, tmp_path, server):
    write_iris(tmp_path)
    spec = {"model": str(tmp_path / "model.joblib"), "server": server}
    example = {"inputs": str(tmp_path / "inputs.csv"), "outputs": str(tmp_path / "outputs.json")}
    report = packed(f"iris-{server}", {**spec, "example": example})["report"]
    assert (report["matched"], report["passed"]) == (150, True)


def test_an_authors_own_service_is_served_as_it_is():
    settings = ServerSettings(scoring=Route(3000, "/classify"), configuration={"api_workers": "2"})
    needs = BENTOML.needs(PackageSpec(server_settings=settings), OWN)
    assert needs.command[:4] == ("serve", "serving.own:Model", "--working-dir", "/opt/lading/code")
    assert needs.command[4:] == ("--api-workers", "2")
    assert (needs.routes["scoring"], needs.files) == ("/classify", {})


def test_an_authors_own_predictor_is_served_as_it_is():
    needs = COG.needs(PackageSpec(), OWN)
    assert needs.variables["COG_PREDICT_TYPE_STUB"] == "/opt/lading/code/serving/own.py:Model"
    assert not needs.files


@pytest.mark.parametrize("server", [BENTOML, COG], ids=["bentoml", "cog"])
def test_code_without_a_class_and_a_model_that_is_none_are_refused(server):
    with pytest.raises(SpecError, match="expected the class of a"):
        server.needs(PackageSpec(), replace(OWN, entry="own.py"))
    with pytest.raises(SpecError, match="expected an MLflow model or an estimator"):
        server.needs(PackageSpec(), replace(OWN, format="files"))


@pytest.mark.parametrize("server", [BENTOML, COG], ids=["bentoml", "cog"])
def test_an_estimator_in_a_file_of_skops_is_served_with_the_types_that_it_trusts(server):
    options = {"file": "model.skops", "serialization": "skops", "trusted_types": ["a.B"]}
    facts = ModelFacts(Path("model.skops"), "skops", "skops sklearn Ridge", "pickle", options)
    texts = [one.decode() for one in server.needs(PackageSpec(), facts).files.values()]
    assert any("'skops', ['a.B']" in one for one in texts)


@pytest.mark.parametrize(
    ("body", "is_ready"), [(b'{"status": "READY"}', True), (b'{"status": "STARTING"}', False), (b"", False)]
)
def test_cog_is_ready_when_it_says_so(body, is_ready):
    assert COG.is_ready(body) is is_ready
