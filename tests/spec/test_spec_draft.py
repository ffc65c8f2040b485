"""The lading.yaml that `lading init` writes."""

from pathlib import Path

import pytest

from lading import spec
from lading.core.model import ModelFacts, Requirement, Risk


def facts_of(path, **more):
    return ModelFacts(path, "sklearn", "sklearn LogisticRegression", "pickle", **more)


def test_a_draft_parses_and_says_what_is_known(tmp_path):
    model = tmp_path / "models" / "My Model.joblib"
    model.parent.mkdir()
    model.write_bytes(b"")
    facts = facts_of(model, python="3.11.7", requirements=(Requirement("scikit-learn==1.7.2", "pickle"),))
    read = spec.parse(spec.draft(facts, tmp_path), tmp_path / "lading.yaml")
    assert (read.name, read.model, read.python) == ("my-model", model, "3.11")
    assert read.requirements == ("scikit-learn==1.7.2",)


def test_a_draft_with_every_comment_taken_away_parses_too(tmp_path):
    for name in ("model.pkl", "requirements.txt", "labels.txt", "inputs.csv", "outputs.json"):
        (tmp_path / name).write_text("a\n1" if name.endswith("csv") else "[]")
    (tmp_path / "src").mkdir()
    text = spec.draft(facts_of(tmp_path / "model.pkl"), tmp_path)
    keys = tuple(key.split(":")[0] for key in text.replace("# ", "").splitlines() if ":" in key)
    bare = "\n".join(
        line.removeprefix("# ")
        for line in text.splitlines()
        if not line.startswith("#")
        or line.removeprefix("# ").split(":")[0].strip(" -") in _SAMPLE_KEYS
        or line[2:4] in {"- ", "  "}
    )
    assert "environment_variables" in keys
    assert spec.parse(bare, tmp_path / "lading.yaml").assets == (tmp_path / "labels.txt",)


_SAMPLE_KEYS = set(spec.draft.__globals__["_SHOWN"])


def test_what_is_unsafe_is_left_for_the_author_to_accept(tmp_path):
    (tmp_path / "m.pkl").write_bytes(b"")
    text = spec.draft(
        facts_of(tmp_path / "m.pkl", risks=(Risk("m.pkl:3", "os.system", "runs a command"),)), tmp_path
    )
    assert "# - os.system" in text
    assert spec.parse(text, tmp_path / "lading.yaml").allow_unsafe == ()


@pytest.mark.parametrize(
    ("path", "name"),
    [("Iris Model.pkl", "iris-model-pkl"), ("größe", "gr-e"), ("---", "model"), ("a.b_c", "a-b-c")],
)
def test_a_folder_gives_a_name_that_a_reference_can_carry(path, name):
    assert spec.package_name(Path("/nowhere") / path) == name
