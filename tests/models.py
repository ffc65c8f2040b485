"""Real models for tests, as a user would have saved them."""

import json
import textwrap

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

IRIS = load_iris(as_frame=True)


def train(seed=0):
    """Fit a classifier that is quick to train; another seed gives other weights."""
    return LogisticRegression(max_iter=200, C=1.0 + seed).fit(IRIS.data, IRIS.target)


def write_iris(folder, *, seed=0, outputs=None, more="", way="off"):
    """Write a model, its recorded predictions and a spec; `way` is how it is to be compiled."""
    folder.mkdir(parents=True, exist_ok=True)
    model = train(seed)
    joblib.dump(model, folder / "model.joblib")
    IRIS.data.to_csv(folder / "inputs.csv", index=False)
    expected = model.predict(IRIS.data).tolist() if outputs is None else outputs
    (folder / "outputs.json").write_text(json.dumps(expected))
    spec = """\
        name: iris
        model: model.joblib
        example:
          inputs: inputs.csv
          outputs: outputs.json
        """
    (folder / "lading.yaml").write_text(f"{textwrap.dedent(spec)}compile: {way}\n{more}")
    return folder


def rows(*numbers):
    """Return flowers as a client would send them."""
    chosen = IRIS.data.iloc[list(numbers)]
    return {"dataframe_split": {"columns": list(chosen.columns), "data": chosen.to_numpy().tolist()}}
