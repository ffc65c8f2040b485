from __future__ import annotations

import pytest

from lading.core.errors import LockError
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.lock import prose, resolve

OTHER = ServerNeeds("mlserver", ("gunicorn>=23",), ())


@pytest.fixture
def refuse(offline_environ, fetch, resolve_base, bring_python):
    """Resolve what cannot be resolved; returns the error."""

    def run(question):
        with pytest.raises(LockError) as caught:
            resolve(
                question,
                fetch=fetch,
                resolve_base=resolve_base,
                bring_python=bring_python,
                environ=offline_environ,
            )
        return caught.value

    return run


@pytest.fixture
def shelf(smith):
    """An mlflow of two versions, and what it runs on."""
    smith.wheel("gunicorn", "21.2.0")
    smith.wheel("gunicorn", "23.0.0")
    smith.wheel("mlflow", "2.8.1", "gunicorn<22; sys_platform!='win32'")
    smith.wheel("mlflow", "3.0.0", "gunicorn<24")
    smith.wheel("numpy", "1.26.4")
    smith.wheel("numpy", "2.0.0")
    smith.wheel("scipy", "1.10.0", "numpy<2")
    smith.wheel("wrapper", "1.0", "mlflow==2.8.1")
    return smith


def test_a_clash_names_both_sides_and_their_chains(shelf, ask, refuse):
    error = refuse(ask("numpy", "mlflow==2.8.1", server=OTHER))
    texts = [(issue.where, issue.what) for issue in error.issues]
    assert "'mlflow==2.8.1' and 'gunicorn>=23'" in texts[0][1]
    assert "clash over 'gunicorn'" in texts[0][1]
    assert ("model (spec)", "mlflow==2.8.1 → gunicorn<22") in texts
    assert ("server (mlserver)", "gunicorn>=23") in texts


def test_a_clash_comes_with_a_change_that_was_tried(shelf, ask, refuse):
    (fix,) = [issue.fix for issue in refuse(ask("mlflow==2.8.1", server=OTHER)).issues if issue.fix]
    assert fix == (
        "ask for 'mlflow' instead of 'mlflow==2.8.1' (it would be 3.0.0), or "
        "take the server 'lading', whose environment is its own, so that it cannot clash with the model's"
    )


def test_a_long_chain_is_shown_whole(shelf, ask, refuse):
    error = refuse(ask("wrapper", server=OTHER))
    assert ("model (spec)", "wrapper → mlflow==2.8.1 → gunicorn<22") in [
        (issue.where, issue.what) for issue in error.issues
    ]


def test_only_the_requirements_that_clash_are_named(shelf, ask, refuse):
    text = str(refuse(ask("numpy==2.0.0", "mlflow", "gunicorn", "scipy==1.10.0")).issues[0])
    assert "'numpy==2.0.0' and 'scipy==1.10.0'" in text
    assert "mlflow" not in text


def test_a_clash_within_the_model_names_where_each_was_learnt(shelf, ask, refuse, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("scipy==1.10.0\n")
    error = refuse(ask("numpy>=2", requirements_file=path, requirements_file_origin="mlflow"))
    assert {issue.where for issue in error.issues} >= {
        "model (spec)",
        "model (mlflow, requirements.txt:1)",
    }


def test_a_clash_within_a_conda_file_names_its_lines(shelf, ask, refuse, tmp_path):
    path = tmp_path / "conda.yaml"
    path.write_text("dependencies:\n- python=3.11\n- numpy=1.26\n- pip:\n  - numpy==2.0.0\n")
    error = refuse(ask(requirements_file=path))
    assert [(issue.where, issue.what) for issue in error.issues[1:3]] == [
        ("model (spec, conda.yaml:3)", "numpy==1.26.*"),
        ("model (spec, conda.yaml:5)", "numpy==2.0.0"),
    ]


def test_two_requirements_on_one_package_clash_over_it(shelf, ask, refuse):
    error = refuse(ask("numpy<2", "numpy>=2"))
    assert [issue.what for issue in error.issues[1:3]] == ["numpy<2", "numpy>=2"]


def test_a_package_that_no_index_has_is_named_with_who_wants_it(smith, ask, refuse):
    smith.wheel("app", "1.0", "nosuch>=1")
    issue = refuse(ask("app")).issues[0]
    assert issue.where == "model (spec): app → nosuch>=1"
    assert issue.what == "no index has a package 'nosuch'"


def test_a_version_that_does_not_exist_is_named_with_one_that_does(shelf, ask, refuse):
    error = refuse(ask("numpy==3.5"))
    assert error.issues[0].what == "there is no numpy==3.5 for linux/amd64, Python 3.11"
    assert error.issues[0].fix == "ask for 'numpy' instead of 'numpy==3.5' (it would be 2.0.0)"


def test_a_package_for_another_python_says_which(smith, ask, refuse):
    smith.wheel("lib", "1.0", python=">=3.13")
    issue = refuse(ask("lib")).issues[0]
    assert issue.what == "lib==1.0 needs Python >=3.13, the package has 3.11"
    assert "3.13 (debian:trixie)" in issue.fix


@pytest.mark.parametrize(
    ("tag", "has"), [("cp311-cp311-win_amd64", "win_amd64"), ("cp39-cp39-manylinux_2_17_x86_64", "cp39")]
)
def test_a_package_without_a_wheel_says_what_there_is(smith, ask, refuse, tag, has):
    smith.wheel("lib", "1.0", tag=tag)
    smith.wheel("app", "1.0", "lib")
    issue = refuse(ask("app")).issues[0]
    assert issue.where == "model (spec): app → lib"
    assert issue.what.startswith("'lib' has no wheel for linux/amd64, Python 3.11; there are wheels for")
    assert has in issue.what


def test_a_source_distribution_for_a_foreign_platform_is_named(smith, ask, refuse):
    smith.sdist("lib", "1.0", {})
    issue = refuse(ask("lib", platforms=(Platform.parse("linux/arm64"),))).issues[0]
    assert issue.what == "'lib' has no wheel for linux/arm64, Python 3.11; there is only its source"
    assert "find_links" in issue.fix


def test_every_environment_that_fails_is_reported(smith, ask, refuse):
    error = refuse(ask("absent", server=ServerNeeds("lading", ("missing",), ())))
    text = str(error)
    assert "'absent'" in text
    assert "'missing'" in text


def test_the_last_words_of_uv_are_kept(shelf, ask, refuse):
    issue = refuse(ask("numpy<2", "numpy>=2")).issues[-1]
    assert issue.where == "uv"
    assert "unsatisfiable" in issue.what


def test_alternatives_and_several_dependencies_are_recognised():
    text = """
      cause: Because a==1 depends on one of:
                 b<1
                 b>2
             and the-model==0 depends on a and b>1,<2, we can conclude that x depends on y.
    """
    edges = [(edge.parent, edge.child, edge.child_versions) for edge in prose.parse(text).edges]
    assert edges == [("a", "b", "<1 or >2"), ("the-model", "a", ""), ("the-model", "b", ">1,<2")]


def test_conclusions_are_no_edges():
    text = (
        "Because a depends on b, we can conclude that c depends on d. "
        "And because we know from (1) that e depends on f, we can conclude that g cannot be used."
    )
    assert [edge.parent for edge in prose.parse(text).edges] == ["a"]
