"""Log what the tests ask for, by MLflow itself: `MLFLOW_TRACKING_URI=… python log_models.py OUTPUT.json`."""

import json
import sys
from pathlib import Path

import mlflow
import mlflow.sklearn
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def log(c, register):
    data = load_iris(as_frame=True)
    with mlflow.start_run() as run:
        mlflow.set_tag("mlflow.source.git.commit", "0123456789abcdef0123456789abcdef01234567")
        mlflow.log_param("C", c)
        model = LogisticRegression(C=c, max_iter=200).fit(data.data, data.target)
        mlflow.log_metric("accuracy", float(model.score(data.data, data.target)))
        mlflow.log_text("beside", "notes/about this.txt")
        more = {} if mlflow.__version__.startswith("2.") else {"serialization_format": "cloudpickle"}
        name = "artifact_path" if mlflow.__version__.startswith("2.") else "name"
        info = mlflow.sklearn.log_model(
            model,
            **{name: "classifier"},
            signature=infer_signature(data.data, model.predict(data.data)),
            input_example=data.data.head(3),
            registered_model_name=register,
            pip_requirements=["scikit-learn", "pandas"],
            **more,
        )
    return run.info.run_id, getattr(info, "model_id", None)


def main():
    register = "iris"
    client = MlflowClient()
    logged = [log(c, register) for c in (0.1, 1.0, 10.0)]
    client.set_registered_model_alias(register, "champion", "2")
    client.transition_model_version_stage(register, "1", "Production")
    locations = [client.get_model_version_download_uri(register, one) for one in "123"]
    found = {"version": mlflow.__version__, "logged": logged, "locations": locations}
    Path(sys.argv[1]).write_text(json.dumps(found))


main()
