"""Real models for tests, as a user would have saved them."""

import json
import pickle
import textwrap

import joblib
import sklearn
import yaml
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


def write_mlflow(folder):
    """Write the same model as MLflow 3 saves it, with a signature and an example of three rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(train(), protocol=5))
    names = list(IRIS.data.columns)
    columns = [{"type": "double", "name": name, "required": True} for name in names]
    settings = {"pickled_model": "model.pkl", "serialization_format": "pickle"}
    document = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": "3.11.7",
            },
            "sklearn": {**settings, "sklearn_version": sklearn.__version__},
        },
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": {
            "inputs": json.dumps(columns),
            "outputs": json.dumps([{"type": "long", "required": True}]),
        },
    }
    example = {"columns": names, "data": IRIS.data.head(3).to_numpy().tolist()}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    (folder / "input_example.json").write_text(json.dumps(example))
    (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_split": example}))
    (folder / "requirements.txt").write_text(f"mlflow==3.17.2\nscikit-learn=={sklearn.__version__}\nnumpy\n")
    return folder


def rows(*numbers):
    """Return flowers as a client would send them."""
    chosen = IRIS.data.iloc[list(numbers)]
    return {"dataframe_split": {"columns": list(chosen.columns), "data": chosen.to_numpy().tolist()}}
