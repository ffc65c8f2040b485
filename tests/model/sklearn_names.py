"""List the names that pickles of the installed scikit-learn hold: `kind module name`, a line each.

    python tests/model/sklearn_names.py > names-1.9.txt      (once per release, each in its own environment)
    python tests/model/sklearn_names.py names-*.txt          (merges; where two differ the later file wins)

`src/lading/model/allowlist_sklearn.txt` is the union over the releases that its header names. Names come from
two places: classes defined in scikit-learn that cannot do anything but keep parameters (estimators, kernels,
losses, splitters, trees…), and what pickles of fitted estimators of every kind really name. Nothing of
`sklearn.datasets`, `sklearn.externals` and the test tools is taken.
"""

# releases ten years apart raise anything for options that they do not know; the output is what it is for
# ruff: noqa: BLE001, T201

from __future__ import annotations

import contextlib
import importlib
import inspect
import pickle
import pickletools
import pkgutil
import sys
import warnings
from pathlib import Path

SKIPPED = (
    *(
        "sklearn.conftest",
        "sklearn._build_utils",
        "sklearn.datasets",
        "sklearn.externals",
        "sklearn.experimental",
    ),
    *(
        "sklearn._isotonic",
        "sklearn.inspection._plot",
        "sklearn.metrics._plot",
        "sklearn.model_selection._plot",
    ),
    *("sklearn.tests", "sklearn.utils._testing", "sklearn.utils._mocking", "sklearn.utils._array_api"),
    *("sklearn.utils._estimator_html_repr", "sklearn.utils._test_common", "sklearn.utils._openmp_helpers"),
    *("sklearn.utils.discovery", "sklearn.utils.estimator_checks", "sklearn.utils.validation"),
)
HARMLESS_MODULES = (
    "sklearn._loss.",
    "sklearn.ensemble._gb_losses",
    "sklearn.ensemble._hist_gradient_boosting.loss",
    "sklearn.linear_model._sgd_fast",
    "sklearn.metrics._dist_metrics",
    "sklearn.neighbors._dist_metrics",
    "sklearn.neural_network._stochastic_optimizers",
)
HARMLESS_CLASSES = {
    "sklearn.calibration": {"_CalibratedClassifier", "_SigmoidCalibration"},
    "sklearn.compose._column_transformer": {"make_column_selector", "_RemainderColsList"},
    "sklearn.ensemble._hist_gradient_boosting.predictor": {"TreePredictor"},
    "sklearn.impute._iterative": {"_ImputerTriplet"},
    "sklearn.metrics._scorer": {
        "_Scorer",
        "_CurveScorer",
        "_PredictScorer",
        "_ProbaScorer",
        "_ThresholdScorer",
        "_PassthroughScorer",
        "_MultimetricScorer",
        "_BaseScorer",
    },
    "sklearn.neighbors._ball_tree": {"BallTree", "BallTree64", "BallTree32"},
    "sklearn.neighbors._kd_tree": {"KDTree", "KDTree64", "KDTree32"},
    "sklearn.tree._tree": {"Tree"},
    "sklearn.utils._bunch": {"Bunch"},
    "sklearn.utils": {"Bunch"},
    "sklearn.utils._metadata_requests": {"MetadataRequest", "MethodMetadataRequest"},
}


def modules():
    import sklearn

    for found in pkgutil.walk_packages(sklearn.__path__, "sklearn.", onerror=lambda _: None):
        if found.name.startswith(SKIPPED) or ".tests" in found.name:
            continue
        try:
            yield importlib.import_module(found.name)
        except (ImportError, RuntimeError):  # optional dependencies that are not there
            continue


def kind_of(cls):
    from sklearn import base

    def is_a(name):
        mixin = getattr(base, name, None)
        return mixin is not None and issubclass(cls, mixin)

    predicts = hasattr(cls, "predict")
    kinds = {
        "class": not issubclass(cls, base.BaseEstimator),
        "outlier": is_a("OutlierMixin"),
        "classifier": is_a("ClassifierMixin"),
        "regressor": is_a("RegressorMixin"),
        "clusterer": (is_a("ClusterMixin") or is_a("DensityMixin")) and predicts,
        "transformer": is_a("TransformerMixin") and not predicts,
        "estimator": True,
    }
    return next(kind for kind, fits in kinds.items() if fits)


def defined_classes():
    from sklearn.base import BaseEstimator
    from sklearn.gaussian_process.kernels import Kernel
    from sklearn.model_selection import _split

    splitters = tuple(
        getattr(_split, name)
        for name in ("BaseCrossValidator", "BaseShuffleSplit", "_RepeatedSplits", "_CVIterableWrapper")
        if hasattr(_split, name)
    )
    for module in modules():
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__:
                continue
            listed = HARMLESS_CLASSES.get(module.__name__, ())
            harmless = (
                issubclass(cls, (BaseEstimator, Kernel, *splitters))
                or module.__name__.startswith(HARMLESS_MODULES)
                or cls.__qualname__ in listed
            )
            if cls.__name__.startswith("PyFuncDistance"):  # calls a function as soon as it is made
                continue
            if harmless and "." not in cls.__qualname__ and not issubclass(cls, (BaseException, type)):
                yield kind_of(cls), cls.__module__, cls.__qualname__


def named_functions():
    """Functions that fitted estimators hold (score functions, kernels): to be named, not to be called."""
    from sklearn import feature_selection, metrics
    from sklearn.metrics import pairwise

    for name in (
        "f_classif",
        "f_regression",
        "chi2",
        "mutual_info_classif",
        "mutual_info_regression",
        "r_regression",
    ):
        yield getattr(feature_selection, name, None)
    yield from pairwise.PAIRWISE_KERNEL_FUNCTIONS.values()
    yield from pairwise.PAIRWISE_DISTANCE_FUNCTIONS.values()
    for name in metrics.__all__:
        function = getattr(metrics, name)
        if inspect.isfunction(function) and name.endswith(
            ("_score", "_error", "_loss", "_deviance", "_coef", "_gain")
        ):
            yield function


def fitted():
    """Fit every estimator that can be, with its defaults and in the variants that change what is pickled."""
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.utils import all_estimators

    rows, labels = load_iris(return_X_y=True)
    rows, labels = rows[::3], labels[::3]
    texts = ["a b c", "b c d", "c d e"]
    inner = {
        "estimator",
        "base_estimator",
        "estimators",
        "transformers",
        "transformer_list",
        "steps",
        "param_grid",
        "param_distributions",
    }
    for _, cls in all_estimators():
        values = inner_values(cls, inner)
        for make in ({}, {"random_state": np.random.RandomState(0)}):
            try:
                model = cls(**values, **make)
                for data, target in (
                    (rows, labels),
                    (rows, labels.astype(float)),
                    (rows, np.c_[labels, labels]),
                    (rows > 1, labels),
                    (texts, None),
                    (labels.astype(float), labels),
                    (labels, None),
                ):
                    try:
                        yield model.fit(data, target)
                        break
                    except Exception:
                        continue
            except Exception:
                continue
    yield from variants(rows, labels)


def inner_values(cls, inner):
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.preprocessing import StandardScaler

    parameters = inspect.signature(cls.__init__).parameters
    classifier = LinearRegression() if "Regress" in cls.__name__ else LogisticRegression()
    values = {
        "estimator": classifier,
        "base_estimator": classifier,
        "estimators": [("a", classifier)],
        "transformers": [("a", StandardScaler(), [0, 1])],
        "transformer_list": [("a", StandardScaler())],
        "steps": [("a", StandardScaler()), ("b", classifier)],
        "param_grid": {"C": [1.0, 2.0]},
        "param_distributions": {"C": [1.0, 2.0]},
    }
    if "estimator" in parameters:
        values.pop("base_estimator")
    return {name: values[name] for name in inner & values.keys() & parameters.keys()}


def variants(rows, labels):
    from sklearn import (
        ensemble,
        gaussian_process,
        linear_model,
        model_selection,
        neighbors,
        neural_network,
        svm,
    )
    from sklearn.gaussian_process import kernels

    with contextlib.suppress(ImportError):  # older releases alone need it
        from sklearn.experimental import enable_hist_gradient_boosting  # noqa: F401
    real = labels + 1.0
    tries = [
        *(
            (ensemble.GradientBoostingRegressor, {"loss": loss, "n_estimators": 2}, real)
            for loss in ("squared_error", "absolute_error", "huber", "quantile", "ls", "lad")
        ),
        *(
            (ensemble.GradientBoostingClassifier, {"loss": loss, "n_estimators": 2}, labels > 0)
            for loss in ("log_loss", "deviance", "exponential")
        ),
        *(
            (ensemble.HistGradientBoostingRegressor, {"loss": loss, "max_iter": 2, "quantile": 0.5}, real)
            for loss in ("squared_error", "absolute_error", "poisson", "quantile", "gamma", "least_squares")
        ),
        *(
            (ensemble.HistGradientBoostingRegressor, {"loss": loss, "max_iter": 2}, real)
            for loss in ("squared_error", "absolute_error", "poisson", "gamma", "least_squares")
        ),
        (ensemble.HistGradientBoostingClassifier, {"max_iter": 2}, labels),
        (ensemble.HistGradientBoostingClassifier, {"max_iter": 2}, labels > 0),
        (ensemble.HistGradientBoostingClassifier, {"max_iter": 2, "categorical_features": [0]}, labels),
        (ensemble.HistGradientBoostingClassifier, {"max_iter": 30, "early_stopping": True}, labels),
        *(
            (linear_model.SGDClassifier, {"loss": loss}, labels)
            for loss in (
                "hinge",
                "log",
                "log_loss",
                "modified_huber",
                "squared_hinge",
                "perceptron",
                "squared_error",
                "huber",
                "epsilon_insensitive",
                "squared_epsilon_insensitive",
            )
        ),
        *(
            (neighbors.KNeighborsClassifier, {"metric": metric, "algorithm": algorithm}, labels)
            for metric in (
                "minkowski",
                "euclidean",
                "manhattan",
                "chebyshev",
                "canberra",
                "braycurtis",
                "hamming",
            )
            for algorithm in ("kd_tree", "ball_tree", "brute")
        ),
        (
            gaussian_process.GaussianProcessRegressor,
            {"kernel": kernels.RBF() * 2.0 + kernels.WhiteKernel() + kernels.Matern() ** 2},
            real,
        ),
        (
            model_selection.GridSearchCV,
            {"estimator": svm.SVC(), "param_grid": {"C": [1, 2]}, "scoring": "accuracy"},
            labels,
        ),
        (
            model_selection.GridSearchCV,
            {
                "estimator": svm.SVC(),
                "param_grid": {"kernel": ["rbf", "linear"]},
                "scoring": ["accuracy", "f1_macro"],
                "refit": "accuracy",
                "cv": model_selection.StratifiedKFold(2),
            },
            labels,
        ),
        *(
            (neural_network.MLPClassifier, {"solver": solver, "max_iter": 5, "early_stopping": early}, labels)
            for solver in ("adam", "sgd", "lbfgs")
            for early in (True, False)
        ),
    ]
    for cls, options, target in tries:
        try:
            yield cls(**options).fit(rows, target)
        except Exception:  # another release knows other options
            continue


def globals_of(data):
    """Read the names out of a pickle that this process has written itself."""
    texts, memo = [], {}
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ")
            yield module, name
        elif opcode.name == "STACK_GLOBAL":
            yield texts[-2], texts[-1]
        elif "UNICODE" in opcode.name:
            texts.append(argument)
            last = argument
            continue
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = last
        elif opcode.name in {"BINGET", "LONG_BINGET"} and isinstance(memo.get(argument), str):
            texts.append(memo[argument])
        last = None


def names():
    found = set(defined_classes())
    for function in named_functions():
        if function is not None:
            found.add(("name", function.__module__, function.__qualname__))
    known = {(module, name) for _, module, name in found}
    for model in fitted():
        for protocol in (2, 4):
            try:
                data = pickle.dumps(model, protocol)
            except Exception:
                continue
            pairs = {pair for pair in globals_of(data) if pair not in known}
            found |= {
                (pickled_kind(*pair), *pair)
                for pair in pairs
                if pair[0].split(".")[0] in {"sklearn", "_loss"}
            }
    return sorted(found)


def pickled_kind(module, name):
    """Tell what may be done with a pickled name: make it, call it while loading, or only name it."""
    if inspect.isclass(getattr(sys.modules[module], name)):
        return "class"
    return "call" if name == "newObj" or name.startswith("__pyx_unpickle_") else "name"


def merged(paths):
    kinds = {}
    for path in paths:
        for line in Path(path).read_text().splitlines():
            kind, module, name = line.split()
            kinds[module, name] = kind
    return [(kind, module, name) for (module, name), kind in sorted(kinds.items())]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for row in merged(sys.argv[1:]) if sys.argv[1:] else names():
        print(*row)
