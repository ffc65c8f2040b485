"""List the classes that results of the installed statsmodels hold: `class module name`, a line each.

    python tests/model/statsmodels_names.py > names-0.15.txt      (once per release, each apart)
    python tests/model/statsmodels_names.py names-*.txt           (merges)

`src/lading/model/allowlist_statsmodels.txt` is the union over the releases that its header names. Of these
modules alone: none reads files, and what is read of their states as code `states.py` looks at.
"""

# ruff: noqa: T201

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys
from pathlib import Path

ROOTS = (
    *("base.data", "base.model", "base.elastic_net", "base.covtype", "base.wrapper"),
    *("discrete.count_model", "discrete.discrete_model", "discrete.truncated_model"),
    *("discrete.conditional_models", "duration.hazard_regression", "duration.survfunc"),
    *("genmod.cov_struct", "genmod.families.family", "genmod.families.links", "genmod.families.varfuncs"),
    *("genmod.generalized_estimating_equations", "genmod.generalized_linear_model"),
    *("miscmodels.ordinal_model", "othermod.betareg", "regression.linear_model"),
    *("regression.mixed_linear_model", "regression.process_regression", "regression.quantile_regression"),
    *("regression.recursive_ls", "regression.rolling", "robust.norms", "robust.robust_linear_model"),
    *("robust.scale", "tools.tools", "tsa.ar_model", "tsa.arima.model", "tsa.arima.params"),
    *("tsa.arima.specification", "tsa.ardl.model", "tsa.base.tsa_model", "tsa.deterministic"),
    *("tsa.exponential_smoothing", "tsa.forecasting.theta", "tsa.holtwinters", "tsa.regime_switching"),
    *("tsa.statespace", "tsa.vector_ar.var_model", "tsa.vector_ar.vecm"),
)
SKIPPED = (
    "tests",
    "_pykalman_smoother",
    "news",
    "cfa_simulation_smoother",
    "tsa.statespace.exponential_smoothing",
)
METHODS = ("__setstate__", "__reduce__", "__new__", "__getattr__", "__call__")
KNOWN = {"PandasData", "PatsyData", "ModelData", "FormulaData", "NegativeBinomial", "ResultsWrapper"}
"""Those that read their state, in a way that was looked at."""


def modules(root: str):
    found = importlib.import_module(root)
    yield found
    for one in pkgutil.walk_packages(getattr(found, "__path__", []), f"{root}."):
        if not any(skipped in one.name for skipped in SKIPPED):
            with contextlib.suppress(ImportError):
                yield importlib.import_module(one.name)


def main(files: list[str]) -> None:
    names = {line for file in files for line in Path(file).read_text().splitlines() if line[0] != "#"}
    for root in () if files else ROOTS:
        with contextlib.suppress(ImportError):
            for module in modules(f"statsmodels.{root}"):
                for name, value in vars(module).items():
                    if not isinstance(value, type) or value.__module__ != module.__name__:
                        continue
                    own = [one for one in METHODS if one in vars(value) and one != "__call__"]
                    is_cython = type(vars(value).get("__reduce__")).__name__ not in {"NoneType", "function"}
                    if (own and name not in KNOWN and not is_cython) or issubclass(value, (Exception, tuple)):
                        print("left out:", value, own, file=sys.stderr)
                        continue
                    names.add(f"class {module.__name__} {name}")
    print("\n".join(sorted(names)))


main(sys.argv[1:])
