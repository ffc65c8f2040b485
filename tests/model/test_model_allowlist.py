"""The allow-list: it has what the installed scikit-learn makes, and nothing that does harm."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest
import threadpoolctl

from lading.model.allowlist import CONSTRUCTIBLE, allowed_names

KINDS = CONSTRUCTIBLE | {"call", "bind", "name"}
HERE = Path(__file__).parent


def load_generator():
    spec = importlib.util.spec_from_file_location("sklearn_names", HERE / "sklearn_names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_class_of_the_installed_release_is_listed_with_its_kind():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        defined = {(module, name): kind for kind, module, name in load_generator().defined_classes()}
    listed = allowed_names()
    assert {key: listed.get(key) for key in defined} == defined


@pytest.mark.slow
def test_every_name_of_the_installed_release_is_listed():
    # on a machine with other work, threads of OpenMP wait for each other more than they work
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {(module, name) for _, module, name in load_generator().names()}
    assert made <= allowed_names().keys()


def test_names_are_exact():
    for (module, name), kind in allowed_names().items():
        assert kind in KINDS
        assert all(part.isidentifier() for part in module.split("."))
        assert name.isidentifier(), "a dotted name would reach into an object"
        assert not (name.startswith("__") and name.endswith("__"))


LOOKED_AT = {
    ("types", "SimpleNamespace"),
    *(key for key in allowed_names() if key[0] == "scipy.stats._continuous_distns"),
    ("scipy.stats._distn_infrastructure", "rv_continuous_frozen"),
    ("scipy.stats._distn_infrastructure", "rv_frozen"),
}
"""What is listed of them all the same: what they are given, as states or arguments, is looked at."""


@pytest.mark.parametrize(
    "module",
    [
        *(
            "os",
            "sys",
            "subprocess",
            "importlib",
            "operator",
            "types",
            "sklearn.datasets",
            "sklearn.externals",
        ),
        *(
            "joblib",
            "scipy.stats",
            "pandas.io",
            "numpy.testing",
            "numpy.lib",
            "logging",
            "pickle",
            "cloudpickle",
        ),
        *("ctypes", "io"),
    ],
)
def test_modules_that_run_code_or_read_files_are_not_listed(module):
    listed = allowed_names().keys() - LOOKED_AT
    assert not [key for key in listed if key[0] == module or key[0].startswith(f"{module}.")]


@pytest.mark.parametrize(
    "name", ["eval", "exec", "compile", "open", "getattr", "type", "map", "filter", "vars", "input"]
)
def test_builtins_that_do_harm_are_not_listed(name):
    assert ("builtins", name) not in allowed_names()


def test_what_may_be_named_exists_or_did(recwarn):
    """A misspelt entry protects nobody: those of numpy and Python must be found in this environment."""
    gone = {"numpy.core.multiarray", "numpy.core.numeric"}
    for module, name in allowed_names():
        if (
            module.partition(".")[0] in {"builtins", "collections", "datetime", "decimal", "numpy"}
            and module not in gone
        ):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
