"""Results of statsmodels' fits: what their pickles tell, without statsmodels."""

import pickle
from pathlib import Path

import pytest

from lading.core.errors import ModelError
from lading.core.model import ModelFile
from lading.model import inspect
from lading.model.code import FirstParty
from lading.model.sklearn import follow
from lading.model.states import is_plain

SAMPLES = Path(__file__).parent / "samples"
FORMULA = (SAMPLES / "statsmodels-formula.pkl").read_bytes()


def risks(write, data):
    path = write("model.pkl", data)
    walked = follow(ModelFile(path.name, path, path.stat().st_size), FirstParty()).walked
    return {name: risk.why for name, risk in walked.risks.items()}


def test_results_are_told_by_their_class_and_nothing_of_them_is_a_risk():
    facts = inspect(SAMPLES / "statsmodels-ols.pkl")
    assert (facts.format, facts.loader) == ("statsmodels", "statsmodels")
    assert facts.flavour == "statsmodels RegressionResultsWrapper"
    assert {"statsmodels", "pandas<3"} <= {one.text.partition("==")[0] for one in facts.requirements}
    assert facts.risks == ()


@pytest.mark.parametrize(
    ("name", "kind"), [("formula", "GLMResultsWrapper"), ("arima", "ARIMAResultsWrapper")]
)
def test_a_formula_of_columns_and_a_space_of_states_are_followed(name, kind):
    facts = inspect(SAMPLES / f"statsmodels-{name}.pkl")
    assert (facts.flavour, facts.risks) == (f"statsmodels {kind}", ())


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ a + b:c - 1",
        "y ~ (a + b) ** 2 + np.log(p)",
        "np.sqrt(y) ~ C(g, Treatment(reference='b')) + bs(x, df=4)",
        "y ~ Q('a:b') / I(x ** 2) + C(g, levels=['a', 'b'])",
        "0 + a * b",
    ],
)
def test_a_formula_of_columns_and_well_known_functions_is_harmless(formula):
    assert is_plain(formula)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ __import__('os').system('id')",
        "y ~ np.load('x')",
        "y ~ a.b",
        "y ~ C.__class__",
        "y ~ x[0]",
        "y ~ own(x)",
        "y ~ (lambda: x)()",
        "y ~ I(x for x in y)",
        "y ~ f'{x}'",
        "y ~ {exec('1')}",
        "y ~ x ~ z",
        "y ~ x; import os",
        "y ~ " + "(" * 500 + "x" + ")" * 500,
        "y ~ " + "x + " * 5000 + "x",
    ],
)
def test_any_other_formula_is_not(formula):
    assert not is_plain(formula)


def test_results_with_a_formula_that_is_a_call_have_to_be_allowed(write):
    harmless, other = b"y ~ np.log(p) + C(g)", b"y ~ os.system('id') "
    assert harmless in FORMULA
    assert len(harmless) == len(other)
    found = risks(write, FORMULA.replace(harmless, other))
    assert list(found) == ["statsmodels.base.data.PandasData"]
    assert "a formula within it \"y ~ os.system('id') \"" in found["statsmodels.base.data.PandasData"]


def test_a_distribution_whose_text_is_another_has_to_be_allowed(write):
    assert b"return (), loc, scale" in FORMULA
    found = risks(write, FORMULA.replace(b"return (), loc, scale", b"return 00, loc, scale"))
    assert list(found) == ["scipy.stats._continuous_distns.norm_gen"]


def made(module, name, state, *, items=(), arguments=()):
    """Write a pickle that makes an instance of what is not installed, with items and a state."""

    def told(value):
        return pickle.dumps(value, protocol=0)[:-1]

    start = f"c{module}\n{name}\n".encode() + told(arguments) + b"R"
    for key, value in items:
        start += told(key) + (value if isinstance(value, bytes) else told(value)) + b"s"
    return start + (state if isinstance(state, bytes) else told(state)) + b"b."


DATA = ("statsmodels.base.data", "PandasData")
BUNCH = ("statsmodels.tools.tools", "Bunch")
GLM = ("statsmodels.genmod.generalized_linear_model", "GLM")
OTHER = made("types", "SimpleNamespace", {})[:-1]


@pytest.mark.parametrize(
    "data",
    [
        made(*DATA, {"restore_model_spec": True, "formula": "y ~ x", "frame": {}}),
        made(*DATA, {"restore_design_info": True, "formula": "y ~ x"}),
        made(*DATA, {1: 2}),
        made(*DATA, [1, 2]),
        made(*DATA, {"design_info": "y ~ f()"}),
        made("types", "SimpleNamespace", {"model_spec": "y ~ f()"}),
        made("types", "SimpleNamespace", {}, arguments=({"model_spec": "y"},)),
        made(*GLM, b"(dVdata\n" + OTHER + b"s"),
        made(*GLM, b"(dVmodel\n" + OTHER + b"s"),
        made(*BUNCH, {}, items=[("__setstate__", 1)]),
        made(*BUNCH, {}, items=[("model_spec", "y ~ f()")]),
        made(*BUNCH, {}, items=[(1, 2)]),
        made("scipy.stats._continuous_distns", "norm_gen", {"_parse_arg_template": "import os"}),
        made("scipy.stats._continuous_distns", "norm_gen", {}),
    ],
)
def test_what_could_bring_a_formula_or_a_text_by_another_way_is_a_risk(write, data):
    assert risks(write, data)


def test_a_bunch_that_is_its_own_attributes_is_followed(write):
    itself = made(*BUNCH, b"", items=[("a", 1)])
    start, end = itself[: itself.index(b"R") + 1], itself[itself.index(b"R") + 1 :]
    assert risks(write, start + b"p99\n" + end[:-2] + b"g99\nb.") == {}
    with pytest.raises(ModelError, match="a computed state"):
        risks(write, made("types", "SimpleNamespace", OTHER))
