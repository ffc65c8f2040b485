"""Models of Prophet, spaCy and PMML, packaged: they answer as the library, or arithmetic, does."""

import pytest

from training import SAMPLES, trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def prophet(tmp_path_factory):
    return trained("make_prophet.py", tmp_path_factory.mktemp("prophet"), "prophet==1.5.0", "pandas<3")


@pytest.fixture(scope="session")
def spacy(tmp_path_factory):
    return trained("make_spacy.py", tmp_path_factory.mktemp("spacy"), "spacy==3.8.18")


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return trained("make_statsmodels.py", folder, "statsmodels==0.15.0", "pandas<3")


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    needed = ("torch==2.13.0", "transformers", "sentence-transformers")
    return trained("make_transformers.py", tmp_path_factory.mktemp("bert"), *needed)


@pytest.mark.parametrize("name", ["prophet.json", "prophet.pr", "prophet_bounded.json"])
def test_prophets_models_answer_as_prophet_does(name, prophet, packed):
    folder, answers = prophet
    packed(folder / name, answers[name])


@pytest.mark.parametrize("name", ["cats", "rules", "own"])
def test_spacys_pipelines_answer_as_spacy_does(name, spacy, packed):
    folder, answers = spacy
    packed(folder / name, answers[name], **({"code": str(folder / "shouting.py")} if name == "own" else {}))


@pytest.mark.parametrize(
    ("name", "library"), [("labels", "transformers"), ("sentences", "sentence-transformers")]
)
def test_transformers_answer_as_their_library_does(name, library, bert, packed):
    folder, answers = bert
    packed(folder / name, answers[name], requirements=[library, "torch==2.13.0", "numpy", "pandas<3"])


def frame(columns, *rows):
    return {"dataframe_split": {"columns": columns, "data": rows}}


def test_a_regression_in_pmml_is_its_sum(packed):
    def price(age, rooms, area):
        return 10.5 - 0.25 * age + 2 * rooms**2 + (3.75 if area == "town" else 0)

    rows = [[4.0, 2, "town"], [10.125, 3, "land"]]
    said = [{"predicted_price": price(*row)} for row in rows]
    packed(SAMPLES / "regression.pmml", (frame(["age", "rooms", "area"], *rows), said))


def test_a_tree_in_pmml_counts_the_records_of_its_leaves(packed):
    leaves = {
        "first": ("low", 8 / 10, 2 / 10),
        "below": ("low", 3 / 5, 2 / 5),
        "above": ("high", 1 / 4, 3 / 4),
    }
    # a gap of y is filled with 0.5, one of x goes to the first leaf
    rows = [[1.0, 0.0], [2.0, -1.0], [2.0, None], [None, 3.0]]
    found = [leaves[one] for one in ("first", "below", "above", "first")]
    said = [{"kind_is": kind, "p_low": low, "p_high": high} for kind, low, high in found]
    packed(SAMPLES / "tree.pmml", (frame(["x", "y"], *rows), said))


def test_a_scorecard_in_pmml_adds_its_points_and_gives_the_largest_shortfall(packed):
    def card(department, income):
        points = {"DEP": 19.0 if department == "marketing" else 5.0, "INC": 3.5 if income < 1000 else 30.0}
        short = {"DEP": 20 - points["DEP"], "INC": 26 - points["INC"]}
        return {"score": 100 + sum(points.values()), "reason": max(short, key=short.get)}

    rows = [["marketing", 500], ["it", 2000]]
    columns = ["department", "income"]
    packed(SAMPLES / "scorecard.pmml", (frame(columns, *rows), [card(*row) for row in rows]))


@pytest.mark.parametrize("name", ["formula", "arima", "sarimax", "negative", "multinomial", "robust"])
def test_results_of_statsmodels_predict_as_statsmodels_does(name, results, packed):
    folder, answers = results
    packed(folder / f"{name}.pkl", answers[f"{name}.pkl"])


def test_results_of_statsmodels_predict_what_their_parameters_say(packed):
    # statsmodels 0.15 itself gave these, for the rows below
    said = [{"0": 2.661610685227335}, {"0": 2.179255461017926}]
    model = SAMPLES / "statsmodels-ols.pkl"
    rows = frame(["const", "a", "b"], [1.0, 0.5, 0.25], [1.0, 2.0, -1.0])
    packed(model, (rows, said))
