"""Load what was saved by `mlflow.pyfunc`, and print what it answers to the example; run where MLflow is."""

import json
import sys
import traceback
import warnings
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def plain(value):
    if isinstance(value, pd.DataFrame):
        return json.loads(value.to_json(orient="records", date_format="iso", double_precision=15))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return np.asarray(value).tolist()


answers = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    request = json.loads((folder / "serving_input_example.json").read_text())
    try:
        model = mlflow.pyfunc.load_model(str(folder))
        if "dataframe_split" in request:
            data = pd.DataFrame(**request["dataframe_split"])
            if "ds" in data:
                data["ds"] = pd.to_datetime(data["ds"])
        else:
            data = np.array(request["inputs"], dtype=np.float32)
        answers[folder.name] = plain(model.predict(data))
    except Exception:
        answers[folder.name] = traceback.format_exc()[-800:]
print(json.dumps(answers))
