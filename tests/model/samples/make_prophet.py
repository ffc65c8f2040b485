"""Write the samples of Prophet, and what they answer, into a folder; run by hand under prophet 1.5.0."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from prophet import Prophet
from prophet.serialize import model_to_json

logging.disable(logging.WARNING)
FOLDER = Path(sys.argv[1])
FEW = {
    "n_changepoints": 2,
    "weekly_seasonality": False,
    "yearly_seasonality": False,
    "uncertainty_samples": 0,
}
random = np.random.default_rng(0)
days = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=30), "y": random.normal(size=30).round(3)})
more = days.assign(promo=random.normal(size=30).round(3), cap=9.0, floor=-9.0, on=days.index % 2 == 0)
linear = Prophet(**FEW).fit(days)
bounded = Prophet(growth="logistic", **FEW)
bounded.add_regressor("promo")
bounded.add_seasonality("often", 7, 2, condition_name="on")
bounded.fit(more)
text = model_to_json(linear)
(FOLDER / "prophet.json").write_text(text)
(FOLDER / "prophet.pr").write_text(json.dumps(text))
(FOLDER / "prophet_bounded.json").write_text(model_to_json(bounded))
answers = {}
for name, model, rows in (("prophet.json", linear, days), ("prophet_bounded.json", bounded, more)):
    asked = rows.drop(columns="y").iloc[:3]
    said = model.predict(asked)
    said["ds"] = [one.isoformat() for one in said["ds"]]
    found = json.loads(said.to_json(orient="records", double_precision=15))
    split = json.loads(asked.to_json(orient="split", date_format="iso", index=False))
    answers[name] = {"dataframe_split": split}, found
answers["prophet.pr"] = answers["prophet.json"]
(FOLDER / "answers.json").write_text(json.dumps(answers))
