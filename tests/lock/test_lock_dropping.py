from __future__ import annotations

import pytest

from lading.core.digest import Digest
from lading.core.lock import Interpreter, Lock, LockedBase, LockedWheel, PlatformLock, Trial
from lading.core.model import Requirement
from lading.core.platform import Libc, Platform
from lading.lock import candidates, named_in, trimmed, unknown, weighed

AMD64 = Platform.parse("linux/amd64")


def lock_of(*names, learnt=(), trial=None):
    digest = Digest.of(b"")
    base = LockedBase("debian:bookworm", "bookworm", (), Libc("glibc", 2, 36))
    wheels = tuple(LockedWheel(name, "1.0", "f", "https://h/f", digest, 1) for name in names)
    part = PlatformLock(AMD64, base, Interpreter("/usr/bin/python3", "3.11.2"), wheels, ())
    requirements = tuple(Requirement(f"{one}==1.0", "installed") for one in learnt)
    return Lock(digest, "lading", requirements, (part,), trial=trial)


def test_what_is_for_training_is_a_candidate_and_what_a_model_names_is_not():
    lock = lock_of("numpy", "matplotlib", "IPython", "shap", "pytest", learnt=["shap"])
    assert candidates(lock, ()) == ("ipython", "matplotlib", "pytest")
    assert candidates(lock, ["mat*", "PyTest"]) == ("ipython",)
    assert candidates(lock, ["*"]) == ()


def test_what_was_needed_is_not_tried_again():
    trial = Trial(("seaborn",), ("matplotlib",))
    assert candidates(lock_of("matplotlib", "plotly", trial=trial), ()) == ("plotly",)


def test_the_parts_of_mlflows_server_are_candidates_beside_mlflow_alone():
    assert candidates(lock_of("sqlalchemy", "alembic"), ()) == ()
    assert candidates(lock_of("sqlalchemy", "alembic", "mlflow"), ()) == ("alembic", "mlflow", "sqlalchemy")


def test_nccl_is_a_candidate_where_xgboost_alone_asks_for_it():
    assert candidates(lock_of("xgboost", "nvidia-nccl-cu12"), ()) == ("nvidia-nccl-cu12",)
    assert candidates(lock_of("xgboost", "nvidia-nccl-cu12", "torch"), ()) == ()
    assert candidates(lock_of("nvidia-nccl-cu12"), ()) == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ModuleNotFoundError: No module named 'matplotlib'", "matplotlib"),
        ("ModuleNotFoundError: No module named 'matplotlib.pyplot'", "matplotlib"),
        ("No module named 'skopt.space'", "scikit-optimize"),
        ("No module named 'azure.ai.ml'", "azure-ai-ml"),
        ("No module named 'databricks'", "databricks-sdk"),
        ("PackageNotFoundError: No package metadata was found for IPython", "ipython"),
        ("DistributionNotFound: The 'mlflow-skinny' distribution was not found", "mlflow-skinny"),
    ],
)
def test_what_an_error_names_is_what_is_missing(text, name):
    everything = (
        "matplotlib",
        "scikit-optimize",
        "azure-ai-ml",
        "ipython",
        "mlflow-skinny",
        "databricks-sdk",
    )
    assert named_in(text, everything) == (name,)
    assert named_in("AttributeError: matplotlib", everything) == ()


def test_a_name_that_nothing_asks_for_is_told_with_what_was_meant():
    told = list(unknown("drop", ["matplotlb", "Numpy", "zzz"], lock_of("numpy", "matplotlib")))
    assert told == [
        "drop: nothing asks for 'matplotlb'; did you mean 'matplotlib'?",
        "drop: nothing asks for 'zzz'",
    ]


def test_less_is_resolved_with_the_versions_that_were_locked(smith, ask, lock_of):
    smith.wheel("app", "1.0", "seaborn", "numpy")
    smith.wheel("seaborn", "1.0", "colours")
    smith.wheel("colours", "1.0")
    smith.wheel("numpy", "1.0")
    whole = lock_of(ask("app"))
    smith.wheel("app", "2.0", "numpy")
    smith.wheel("numpy", "2.0")
    less = trimmed(whole, lock_of(ask("app", excluded=("Seaborn",)), keeping=whole))
    (part,) = less.platforms
    assert [f"{one.name} {one.version}" for one in part.model] == ["app 1.0", "numpy 1.0"]
    reasons = {one.name: one.why for one in part.dropped}
    assert reasons == {"seaborn": "plotting", "colours": "nothing else needs it"}
    assert less.spec_digest == ask("app", excluded=("seaborn",)).digest != whole.spec_digest
    more = trimmed(less, lock_of(ask("app"), keeping=less))
    assert more == whole
    by_hand = weighed(lock_of(ask("app<2", excluded=("colours",))), whole, ["Colours"])
    assert [one.why for one in by_hand.platforms[0].dropped] == ["by hand"]
