"""A model that was saved with other versions than it is packed with: told, and refused where it fails."""

import pickle

import pytest
import sklearn.base
from sklearn.linear_model import LinearRegression

pytestmark = pytest.mark.network


@pytest.fixture
def aged(tmp_path, monkeypatch):
    """Write a model as scikit-learn 0.24 would have, beside a list that asks for today's."""

    def write(lost=None):
        model = LinearRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
        if lost:
            delattr(model, lost)
        monkeypatch.setattr(sklearn.base, "__version__", "0.24.2")
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
        (tmp_path / "requirements.txt").write_text(f"scikit-learn=={sklearn.__version__}\n")
        return tmp_path

    return write


def test_a_model_that_no_longer_predicts_is_not_sealed_however_healthy_it_is(lading, aged):
    done = lading.run("pack", aged(lost="intercept_"), "-t", "aged:1", "--no-compile")
    assert done.returncode == 6, done.stderr
    said = done.stderr
    assert "AttributeError" in said
    drift = f"saved with scikit-learn 0.24.2, and the environment has {sklearn.__version__}"
    assert f"version drift: the model was {drift}" in said


def test_drift_is_told_at_the_lock_and_that_nothing_recorded_was_compared(lading, aged):
    done = lading.run("pack", aged(), "-t", "aged:2", "--no-compile")
    assert done.returncode == 0, done.stderr
    assert "the model was saved with scikit-learn 0.24.2" in done.stderr
    assert "no recorded prediction was compared" in done.stderr
