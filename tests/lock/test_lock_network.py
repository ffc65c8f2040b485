"""Real packages from the machine's own index."""

from __future__ import annotations

import pytest

from lading.core.errors import LockError
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.lock import resolve

pytestmark = pytest.mark.network
BOTH = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))


def test_scikit_learn_is_locked_for_both_platforms(ask, fetch, resolve_base, bring_python):
    question = ask("scikit-learn==1.7.2", platforms=BOTH, server=ServerNeeds("lading", ("uvicorn",), ()))
    first, second = resolve(
        question, fetch=fetch, resolve_base=resolve_base, bring_python=bring_python
    ).platforms
    assert {one.name for one in first.model} >= {"scikit-learn", "numpy", "scipy", "joblib"}
    assert [one.name for one in first.model] == [one.name for one in second.model]
    assert any("x86_64" in one.filename for one in first.model)
    assert any("aarch64" in one.filename for one in second.model)
    assert all(one.size_bytes > 1000 for one in (*first.model, *second.model, *first.server))
    assert all(one.url.startswith("https://") and "?" not in one.url for one in first.model)


def test_a_real_clash_is_explained(ask, fetch, resolve_base, bring_python):
    question = ask("mlflow==2.8.1", "numpy", server=ServerNeeds("mlserver", ("gunicorn>=23",), ()))
    with pytest.raises(LockError) as caught:
        resolve(question, fetch=fetch, resolve_base=resolve_base, bring_python=bring_python)
    assert [issue.what for issue in caught.value.issues[1:3]] == [
        "mlflow==2.8.1 → gunicorn<22",
        "gunicorn>=23",
    ]


def test_a_release_without_a_wheel_for_this_python_is_named(ask, fetch, resolve_base, bring_python):
    with pytest.raises(LockError, match=r"'pandas' has no wheel for linux/amd64, Python 3\.11"):
        resolve(ask("pandas==1.3.0"), fetch=fetch, resolve_base=resolve_base, bring_python=bring_python)
