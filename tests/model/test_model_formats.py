"""The table of formats: docs and code say the same; a distribution's own format comes by the same door."""

import ast
import re
import sys
import textwrap
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.core.server import NATIVE
from lading.model import formats, inspect, is_known
from lading.servers import native

ROOT = Path(__file__).parents[2]
COLUMNS = ["format", "recognised by", "signature from", "loaded by", "lean without", "risks", "status"]


def table(first=COLUMNS[1]):
    """Return the rows of a table in docs/formats.md, told by its second column; cells by column."""
    text = (ROOT / "docs" / "formats.md").read_text()
    (found,) = re.findall(rf"^\| format \| {first} \|.*(?:\n\|.*)+", text, re.MULTILINE)
    head, _, *rest = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rest]


def test_the_docs_have_a_row_for_every_format_in_the_order_in_which_they_are_asked():
    assert list(table()[0]) == COLUMNS
    told = dict.fromkeys(re.match(r"`(\w+)`", row["format"])[1] for row in table())
    assert list(told) == [one.name for one in formats.FORMATS]


def test_every_format_has_its_row_of_figures_and_a_model_that_the_benchmark_trains():
    rows = table("inspected")
    assert [row["format"].strip("`") for row in rows] == [one.name for one in formats.FORMATS]
    assert all(all(row.values()) for row in rows)
    text = (ROOT / "benchmarks" / "formats" / "table.py").read_text()
    (trained,) = (
        one.value
        for one in ast.walk(ast.parse(text))
        if isinstance(one, ast.AnnAssign) and getattr(one.target, "id", None) == "ROWS"
    )
    assert [key.value for key in trained.keys] == [one.name for one in formats.FORMATS]


def test_what_the_docs_name_as_loaders_is_there_and_travels_as_byte_code():
    told = {name for row in table() for name in re.findall(r"`(\w+)`", row["loaded by"])}
    loaders = ROOT / "src" / "lading_runtime" / "loaders"
    assert told <= {one.stem for one in loaders.glob("*.py")}
    assert native.NEEDS.name == NATIVE
    assert {f"lading_runtime.loaders.{name}" for name in told} <= set(native.NEEDS.modules)


def test_every_row_says_what_it_is_recognised_by_and_how_it_stands():
    assert all(row["recognised by"] and row["status"] for row in table())


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the import path that brings formats: `{name: object}`, and its module's text."""
    place = tmp_path / "site"

    def install(entries, module, name="scorecards"):
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{formats.GROUP}]", *lines]))
        (place / f"{name}_lading.py").write_text(textwrap.dedent(module))
        monkeypatch.syspath_prepend(place)

    yield install
    for name in [one for one in sys.modules if one.endswith("_lading")]:
        del sys.modules[name]


def documented():
    """Return the module that the docs give as an example."""
    text = (ROOT / "docs" / "formats.md").read_text()
    return re.search(r"```python\n(# scorecards/lading\.py.*?)```", text, re.DOTALL)[1]


def test_a_distribution_brings_a_format_of_its_own(install, write):
    install({"scorecard": "scorecards_lading:FORMAT"}, documented())
    path = write("risk.scorecard", '{"points": {"age": 2.0, "debt": -1.0}}')
    assert is_known(path)
    facts = inspect(path)
    assert (facts.format, facts.loader) == ("scorecard", "scorecards.loading")
    assert [one.name for one in facts.signature.inputs] == ["age", "debt"]
    assert [one.text for one in facts.requirements] == ["scorecards"]


def test_formats_of_others_are_not_asked_where_one_of_ours_knows_the_model(install, estimators, tmp_path):
    install({"scorecard": "scorecards_lading:FORMAT"}, "raise RuntimeError('imported')")
    import joblib

    joblib.dump(estimators["logistic"], tmp_path / "model.joblib")
    assert inspect(tmp_path / "model.joblib").format == "sklearn"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise RuntimeError('out of order')", "cannot be loaded: out of order"),
        ("FORMAT = 1", "is a int, expected a lading.model.Format"),
        ("", "cannot be loaded: "),
        (
            "from lading.model import Format\nFORMAT = Format('s', lambda _: 1 / 0, None)",
            "fails with ZeroDivisionError: division by zero",
        ),
        (
            "from lading.model import Format\nFORMAT = Format('s', lambda _: True, lambda _: {}['points'])",
            "fails with KeyError: 'points'",
        ),
        (
            "from lading.model import Format\nFORMAT = Format('s', lambda _: True, lambda _: {})",
            "gives a dict, expected lading.core.model.ModelFacts",
        ),
    ],
)
def test_a_broken_format_is_named_with_its_distribution(install, write, module, said):
    install({"scorecard": "broken_lading:FORMAT"}, module, name="broken")
    with pytest.raises(ModelError, match="format 'scorecard' of broken") as caught:
        inspect(write("risk.scorecard", "{}"))
    assert said in str(caught.value)


def test_what_a_format_of_others_says_of_a_model_is_said(install, write):
    module = """
        from lading.core.errors import Issue, ModelError
        from lading.model import Format

        def inspect(request):
            raise ModelError(Issue("risk.scorecard", "has no points"))

        FORMAT = Format("scorecard", lambda request: True, inspect)
        """
    install({"scorecard": "strict_lading:FORMAT"}, module, name="strict")
    with pytest.raises(ModelError, match="has no points"):
        inspect(write("risk.scorecard", "{}"))
