from __future__ import annotations

import pytest

from lading.core.digest import Digest
from lading.core.lock import Interpreter, Lock, LockedBase, LockedWheel, PlatformLock
from lading.core.platform import Libc, Platform
from lading.lock import drift


def lock_of(python="3.11.2", **versions):
    """Lock some versions for two platforms."""
    digest = Digest.of(b"")
    base = LockedBase("debian:bookworm", "bookworm", (), Libc("glibc", 2, 36))
    wheels = tuple(
        LockedWheel(name.replace("_", "-"), version, "f", "https://h/f", digest, 1)
        for name, version in versions.items()
    )
    parts = tuple(
        PlatformLock(Platform.parse(one), base, Interpreter("/usr/bin/python3", python), wheels, ())
        for one in ("linux/amd64", "linux/arm64")
    )
    return Lock(digest, "lading", (), parts)


def test_the_environment_that_a_model_was_saved_in_is_no_drift():
    saved = ("numpy==1.26.4", "python==3.11.7", "scikit-learn==1.1.2")
    assert drift(lock_of(numpy="1.26.4", scikit_learn="1.1.2"), saved) == []


def test_every_library_and_python_of_another_release_is_told_once():
    saved = ("mlflow==2.8.1", "numpy==1.26.4", "python==3.9.18", "scikit-learn==1.1.2", "xgboost==1.3.3")
    locked = lock_of(numpy="2.1.0", scikit_learn="1.5.2", xgboost="2.0.0", mlflow="3.1.0")
    assert drift(locked, saved) == [
        "the model was saved with mlflow 2.8.1, and the environment has 3.1.0",
        "the model was saved with numpy 1.26.4, and the environment has 2.1.0",
        "the model was saved with Python 3.9.18, and the environment has 3.11.2",
        "the model was saved with scikit-learn 1.1.2, and the environment has 1.5.2",
        "the model was saved with xgboost 1.3.3, and the environment has 2.0.0",
    ]


@pytest.mark.parametrize(
    ("saved", "locked"),
    [
        ("scikit-learn==1.1.2", "1.1.3"),  # mended
        ("scikit-learn==1", "1.5.0"),  # as much as is said
        ("cloudpickle==3.0.0", "3.1.1"),
        ("numpy<2", "1.26.4"),
        ("numpy>=2", "2.4.0"),
    ],
)
def test_what_makes_no_difference_is_not_told(saved, locked):
    name = saved.split("=")[0].split("<")[0].strip(">")
    assert drift(lock_of(**{name.replace("-", "_"): locked}), (saved,)) == []


@pytest.mark.parametrize(
    ("saved", "locked", "told"),
    [
        ("numpy<2", "2.4.0", "numpy <2, and the environment has 2.4.0"),
        ("numpy>=2", "1.26.4", "numpy >=2, and the environment has 1.26.4"),
        ("cloudpickle==2.2.1", "3.1.1", "cloudpickle 2.2.1, and the environment has 3.1.1"),
        ("torch==2.1.0", "2.10.0", "torch 2.1.0, and the environment has 2.10.0"),
    ],
)
def test_what_the_file_alone_tells_counts_too(saved, locked, told):
    name = saved.split("=")[0].split("<")[0].strip(">")
    assert drift(lock_of(**{name: locked}), (saved,)) == [f"the model was saved with {told}"]


def test_what_the_environment_does_not_have_is_no_drift():
    assert drift(lock_of(numpy="2.0.0"), ("mlflow==2.8.1",)) == []
