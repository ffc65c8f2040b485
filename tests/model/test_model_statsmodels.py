"""Results of statsmodels' fits: what their pickles tell, without statsmodels."""

from pathlib import Path

from lading.model import inspect

SAMPLES = Path(__file__).parent / "samples"


def test_results_are_told_by_their_class_and_every_class_of_the_library_is_a_risk():
    facts = inspect(SAMPLES / "statsmodels-ols.pkl")
    assert (facts.format, facts.loader) == ("statsmodels", "statsmodels")
    assert facts.flavour == "statsmodels RegressionResultsWrapper"
    assert {"statsmodels", "pandas<3"} <= {one.text.partition("==")[0] for one in facts.requirements}
    names = {one.name for one in facts.risks}
    assert "statsmodels.regression.linear_model.OLS" in names
    (data,) = (one for one in facts.risks if one.name == "statsmodels.base.data.PandasData")
    assert "a formula within it is evaluated as Python" in data.why
