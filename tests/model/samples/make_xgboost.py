"""Write the samples of XGBoost's old binary format; run by hand under xgboost 0.90 and 1.7.6."""

import numpy as np
import xgboost

release = ".".join(xgboost.__version__.split(".")[:2])
random = np.random.RandomState(0)
rows = np.round(random.normal(size=(60, 3)), 3)
labels = np.digitize(rows[:, 0], [-0.5, 0.5])
if release == "0.90":
    settings = {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}
    booster = xgboost.train(settings, xgboost.DMatrix(rows, labels, feature_names=list("abc")), 2)
    booster.save_model(f"xgboost-{release}-multi.model")
else:
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(rows, labels > 1)
    model.save_model(f"xgboost-{release}-classifier.model")
