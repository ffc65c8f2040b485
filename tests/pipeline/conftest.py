"""Models that were trained elsewhere, packaged: for slow tests."""

import json

import pytest


@pytest.fixture
def packed(lading, tmp_path):
    """Package a model with the library's own answers as its example; see them verified."""

    def packed(model, answers, **settings):
        inputs, outputs = answers
        spec = {"model": str(model), "example": {"inputs": inputs, "outputs": outputs}, **settings}
        (tmp_path / "lading.yaml").write_text(json.dumps(spec))
        done = lading.run("pack", tmp_path / "lading.yaml", "-t", f"trained:{model.name.replace('.', '-')}")
        assert done.returncode == 0, done.stderr
        assert "recorded predictions match" in done.stderr, done.stderr

    return packed
