"""Real packages from the machine's own index."""

from __future__ import annotations

import re

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


AZUREML = ServerNeeds("azureml_online", ("azureml-inference-server-http",), ())


def test_a_real_server_that_was_pushed_back_is_told(ask, fetch, resolve_base, bring_python):
    told = []
    resolve(
        ask("mlflow==2.8.1", server=AZUREML, python="3.9"),
        fetch=fetch,
        resolve_base=resolve_base,
        bring_python=bring_python,
        events=lambda event: told.append(event.text) if event.kind == "warning" else None,
    )
    (warning,) = told
    assert re.fullmatch(
        r"azureml-inference-server-http 1\.\S+ was taken, newest is \d\S+, "
        r"because mlflow==2\.8\.1 needs gunicorn<22",
        warning,
    )


def test_a_real_clash_with_a_server_comes_with_every_way_out(ask, fetch, resolve_base, bring_python):
    question = ask("mlflow==2.8.1", server=AZUREML, python="3.9", server_version="1.5.1")
    with pytest.raises(LockError) as caught:
        resolve(question, fetch=fetch, resolve_base=resolve_base, bring_python=bring_python)
    assert [issue.what for issue in caught.value.issues[1:3]] == [
        "mlflow==2.8.1 → gunicorn<22",
        "azureml-inference-server-http==1.5.1 → gunicorn>=23.0.0",
    ]
    (fix,) = [issue.fix for issue in caught.value.issues if issue.fix]
    assert re.match(r"take version 1\.\S+ of the server, or ask for 'mlflow~=2\.8' instead", fix)
    assert "take the server 'lading'" in fix


def test_a_release_without_a_wheel_for_this_python_is_named(ask, fetch, resolve_base, bring_python):
    with pytest.raises(LockError, match=r"'pandas' has no wheel for linux/amd64, Python 3\.11"):
        resolve(ask("pandas==1.3.0"), fetch=fetch, resolve_base=resolve_base, bring_python=bring_python)
