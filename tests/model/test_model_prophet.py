"""Prophet's JSON, bare and as MLflow has it: what it tells, without Prophet."""

import json
import tracemalloc
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.model import inspect

SAMPLES = Path(__file__).parent / "samples"


def test_a_model_tells_its_columns_and_its_version():
    facts = inspect(SAMPLES / "prophet.json")
    assert (facts.format, facts.loader, facts.framework_version) == ("prophet", "prophet", "1.5.0")
    assert [(one.name, one.type) for one in facts.signature.inputs] == [("ds", "datetime")]
    assert [one.text for one in facts.requirements] == ["prophet==1.5.0", "pandas<3"]
    assert facts.notes == ("growth linear",)


def test_bounds_regressors_and_conditions_are_asked_for():
    facts = inspect(SAMPLES / "prophet_bounded.json")
    kinds = {one.name: one.type for one in facts.signature.inputs}
    assert kinds == {"ds": "datetime", "cap": "double", "floor": "double", "promo": "double", "on": "boolean"}


@pytest.mark.parametrize("name", ["prophet.json", "prophet_bounded.json"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_text_in_another_json_is_the_same_model(name, plain, write):
    text = (SAMPLES / name).read_text().replace('"growth"', '"größe": "\\u00fc\\\\\\" 日本", "growth"', 1)
    found = inspect(write("model.pr", json.dumps(text, ensure_ascii=plain)))
    bare = inspect(SAMPLES / name)
    assert (found.signature, found.framework_version) == (bare.signature, bare.framework_version)


def test_a_long_history_takes_no_memory(write):
    text = (SAMPLES / "prophet.json").read_text()
    long = text.replace('"history_dates": "', '"history_dates": "' + "[1, 2, 3]" * 2_400_000, 1)
    path = write("model.pr", json.dumps(long))
    del long
    tracemalloc.start()
    assert inspect(path).framework_version == "1.5.0"
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_a_model_that_is_cut_is_refused(write):
    text = (SAMPLES / "prophet.json").read_text()
    for broken in (text[:5000], json.dumps(text)[:5000], text.replace('"1.5.0"', '"1; import os"')):
        with pytest.raises(ModelError, match="no model of Prophet that can be read"):
            inspect(write("model.json", broken))
