"""Train models, save them in files of their libraries' own, and write down what they answer.

`train_formats.py NAME FOLDER` runs where the library is that the name begins with.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame(RANDOM.normal(size=(60, 3)).round(3), columns=["a", "b", "c"])
LABELS = np.digitize(ROWS["a"], [-0.5, 0.5])
WORDS = ROWS.assign(k=RANDOM.choice(["x", "y", "z"], 60), m=RANDOM.integers(0, 3, 60))
FEW = {"iterations": 3, "depth": 2, "verbose": 0, "allow_writing_files": False}


def catboost_categories(folder):
    import catboost

    model = catboost.CatBoostClassifier(**FEW, cat_features=["k", "m"])
    model.fit(WORDS, np.where(LABELS > 1, "yes", "no")).save_model(folder / "model.cbm")
    return "model.cbm", WORDS, model.predict(WORDS)


def catboost_json(folder):
    import catboost

    model = catboost.CatBoostRegressor(**FEW).fit(ROWS, LABELS)
    model.save_model(folder / "model.json", format="json")
    return "model.json", ROWS, model.predict(ROWS)


def xgboost_binary(folder):
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(ROWS.to_numpy(), LABELS)
    model.save_model(folder / "model.bin")
    return "model.bin", ROWS, model.predict(ROWS.to_numpy())


def xgboost_ubj(folder):
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(ROWS, LABELS)
    model.save_model(folder / "model.ubj")
    return "model.ubj", ROWS, model.predict(ROWS)


def main(name, folder):
    file, rows, expected = globals()[name](folder)
    split = {"columns": list(rows.columns), "data": json.loads(rows.to_json(orient="values"))}
    (folder / "inputs.json").write_text(json.dumps({"dataframe_split": split}))
    (folder / "outputs.json").write_text(json.dumps(np.asarray(expected).tolist()))
    example = {"inputs": "inputs.json", "outputs": "outputs.json"}
    spec = {"name": "trained", "model": file, "example": example, "compile": "off"}
    (folder / "lading.yaml").write_text(json.dumps(spec))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
