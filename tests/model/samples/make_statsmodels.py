"""Make results of statsmodels, and answers.json with what they predict: `python make_statsmodels.py FOLDER`.

statsmodels-formula.pkl and statsmodels-arima.pkl beside this are the first two, of 12 rows, by statsmodels
0.15: `python make_statsmodels.py FOLDER 12`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

ROWS = 60 if len(sys.argv) < 3 else int(sys.argv[2])
rng = np.random.default_rng(0)
frame = pd.DataFrame({"x": rng.normal(size=ROWS), "g": list("abc") * (ROWS // 3)})
frame["p"] = np.exp(frame.x)
frame["y"] = (rng.random(ROWS) > 0.5).astype(int)
frame["k"] = rng.poisson(2, ROWS)
numbers = sm.add_constant(frame[["x", "p"]])
days = pd.date_range("2020-01-01", periods=ROWS, freq="MS")
series = pd.Series(np.cumsum(frame.x).to_numpy() + 9, index=days)
asked = pd.DataFrame({"p": [1.0, 2.5], "g": ["a", "c"]})
folder = Path(sys.argv[1])
answers = {}


def keep(name, results, rows):
    """Save results with what they predict for rows, as a package answers."""
    results.save(folder / name)
    if "start" in rows:
        said = results.predict(start=int(rows.start[0]), end=int(rows.end[0]))
    else:
        said = results.predict(rows)
    said = said.to_frame() if isinstance(said, pd.Series) else said
    said.columns = [str(one) for one in said.columns]
    inputs = {"dataframe_split": {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}}
    answers[name] = [inputs, said.to_dict("records")]


ahead = pd.DataFrame({"start": [ROWS], "end": [ROWS + 2]})
binomial = sm.families.Binomial(sm.families.links.Probit())
keep("formula.pkl", smf.glm("y ~ np.log(p) + C(g)", frame, family=binomial).fit(maxiter=3), asked)
keep("arima.pkl", sm.tsa.arima.ARIMA(series, order=(1, 0, 0)).fit(), ahead)
if ROWS > 12:
    seasonal = {"order": (1, 1, 0), "seasonal_order": (1, 0, 0, 12)}
    keep("sarimax.pkl", sm.tsa.SARIMAX(series, **seasonal).fit(disp=0), ahead)
    keep("negative.pkl", sm.NegativeBinomial(frame.k, numbers).fit(disp=0), numbers[:2])
    keep("multinomial.pkl", sm.MNLogit(frame.k.clip(upper=2), numbers).fit(disp=0), numbers[:2])
    keep("robust.pkl", sm.RLM(frame.k, numbers, M=sm.robust.norms.TukeyBiweight()).fit(), numbers[:2])
(folder / "answers.json").write_text(json.dumps(answers))
