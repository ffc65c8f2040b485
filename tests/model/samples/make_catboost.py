"""Write the samples of CatBoost; run by hand under catboost 1.2.10, where its wheel is."""

import pickle
from pathlib import Path

import catboost
import numpy as np
import pandas as pd

random = np.random.default_rng(0)
rows = random.normal(size=(100, 3)).round(3)
classes = np.digitize(rows[:, 0], [-0.5, 0.5])
few = {"iterations": 3, "depth": 2, "verbose": 0, "allow_writing_files": False, "random_seed": 0}
frame = pd.DataFrame(rows, columns=list("abc"))
words = frame.assign(
    k=random.choice(["x", "y", "z"], 100),
    m=random.integers(0, 3, 100),
    text=random.choice(["a good day", "a bad one", "so it goes"], 100),
)
model = catboost.CatBoostClassifier(**few, cat_features=["k", "m"], text_features=["text"])
model.fit(words, classes).save_model("catboost-1.cbm")
catboost.CatBoostRegressor(**few).fit(rows, rows[:, 0]).save_model("catboost-2.cbm")
labels = np.where(rows[:, 0] > 0, "yes", "no")
catboost.CatBoostClassifier(**few).fit(frame, labels).save_model("catboost-3.cbm")
model = catboost.CatBoostClassifier(**few, loss_function="MultiClass").fit(rows, classes)
model.save_model("catboost-4.json", format="json")
model = catboost.CatBoostRegressor(**few).fit(rows, rows[:, 0])
Path("catboost-regressor.pkl").write_bytes(pickle.dumps(model, protocol=4))
