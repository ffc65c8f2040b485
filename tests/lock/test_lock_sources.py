from __future__ import annotations

import pytest

from lading.core.errors import LockError
from lading.core.spec import Indexes
from lading.lock import sources


@pytest.fixture
def read(tmp_path):
    """Write files, the first of which is read."""

    def run(environ=None, **files):
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        return sources.load(tmp_path / next(iter(files)).replace("__", "."), environ or {})

    return run


@pytest.fixture
def issues(read):
    """Read what is wrong; returns every issue as `where: what`."""

    def run(environ=None, **files):
        with pytest.raises(LockError) as caught:
            read(environ, **files)
        return [f"{issue.where}: {issue.what}" for issue in caught.value.issues]

    return run


def test_requirements_keep_extras_and_markers(read):
    text = "# a comment\nlib[extra]>=1, <2 ; python_version < '4'  # why\n\nother==1.0\n"
    assert read(requirements__txt=text).requirements == (
        "lib[extra]>=1, <2 ; python_version < '4'",
        "other==1.0",
    )


def test_lines_are_continued_and_hashes_kept_apart(read):
    one, two = "a" * 64, "B" * 64
    text = f"lib==1.0 \\\n  --hash=sha256:{one} \\\n  --hash sha256:{two}\nMy_Other\n"
    found = read(requirements__txt=text)
    assert found.requirements == ("lib==1.0", "My_Other")
    assert found.hashes == {"lib": {one, two.lower()}}


def test_files_are_included_relative_to_the_file_that_names_them(read, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/more.txt").write_text("-r deeper.txt\n--constraint=limits.txt\n")
    (tmp_path / "sub/deeper.txt").write_text("deep\n")
    (tmp_path / "sub/limits.txt").write_text("deep<3\n")
    found = read(requirements__txt="-r sub/more.txt\ntop\n")
    assert found.requirements == ("deep", "top")
    assert found.constraints == ("deep<3",)


def test_index_options_are_read(read, tmp_path):
    (tmp_path / "wheels").mkdir()
    text = (
        "-i https://one/simple\n--extra-index-url=https://two/simple\n--extra-index-url https://three/simple\n"
        "-f wheels\n--find-links https://four/\n--pre\n--no-index\n--trusted-host two\nlib\n"
    )
    found = read(requirements__txt=text)
    assert found.indexes == Indexes(
        "https://one/simple",
        ("https://two/simple", "https://three/simple"),
        (str(tmp_path / "wheels"), "https://four/"),
    )
    assert found.prereleases
    assert found.no_index
    assert found.notes == ("requirements.txt:8: --trusted-host has no effect here",)


def test_options_of_pip_s_own_doings_have_no_effect(read):
    text = "--no-cache-dir\n-U\n--retries 3\n--disable-pip-version-check\nlib\n"
    found = read(requirements__txt=text)
    assert found.requirements == ("lib",)
    names = ("--no-cache-dir", "--upgrade", "--retries", "--disable-pip-version-check")
    assert found.notes == tuple(
        f"requirements.txt:{number}: {name} has no effect here" for number, name in enumerate(names, start=1)
    )


def test_a_folder_of_wheels_that_is_not_there_is_named_with_all_else(issues, tmp_path):
    gone = (tmp_path / "gone").as_uri()
    assert issues(requirements__txt=f"-f ./whl\n--find-links {gone}\n-f https://h/\n-e .\n") == [
        "requirements.txt:1: looks for wheels in './whl', and there is no such folder",
        f"requirements.txt:2: looks for wheels in {gone!r}, and there is no such folder",
        "requirements.txt:4: an editable install cannot be sealed",
    ]


def test_variables_are_taken_from_the_environment(read):
    found = read({"TOKEN": "s3cret"}, requirements__txt="--index-url https://u:${TOKEN}@h/simple\nlib\n")
    assert found.indexes.url == "https://u:s3cret@h/simple"


def test_everything_that_is_wrong_is_reported_at_once_with_its_line(issues):
    text = """\
fine
not a requirement
-e .
git+https://h/repo.git
lib @ git+ssh://h/repo.git@main
./sdist-1.0.tar.gz
lib==1 --global-option=x
-r absent.txt
--unknown
lib==1 --hash=md5:abc
https://${MISSING}/lib-1.0-py3-none-any.whl
"""
    found = issues(requirements__txt=text)
    assert sorted(int(line.split(":")[1]) for line in found) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert "requirements.txt:3: an editable install cannot be sealed" in found
    assert "requirements.txt:8: includes 'absent.txt', and there is no such file" in found


def test_files_that_include_each_other_are_an_issue(issues):
    assert "include each other" in issues(a__txt="-r b.txt\n", b__txt="-r a.txt\n")[0]


def test_the_path_and_the_url_of_a_wheel_become_direct_references(read, tmp_path):
    (tmp_path / "my_lib-1.0-py3-none-any.whl").touch()
    text = (
        "./my_lib-1.0-py3-none-any.whl; python_version < '4'\n"
        "https://h/x/other-2.0-py3-none-any.whl ; sys_platform == 'linux'\n"
    )
    uri = (tmp_path / "my_lib-1.0-py3-none-any.whl").as_uri()
    assert read(requirements__txt=text).requirements == (
        f"my-lib @ {uri} ; python_version < '4'",
        "other @ https://h/x/other-2.0-py3-none-any.whl ; sys_platform == 'linux'",
    )


def test_credentials_in_a_requirement_are_refused_unseen(issues):
    (line,) = issues(requirements__txt="lib @ https://user:s3cret@h/lib-1.0-py3-none-any.whl\n")
    assert "carries credentials" in line
    assert "s3cret" not in line


def test_a_project_gives_its_dependencies_and_its_python(read):
    text = '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["lib>=1"]\n'
    found = read(pyproject__toml=text)
    assert found.requirements == ("lib>=1",)
    assert found.requires_python == ">=3.10"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[tool.x]\n", "there is no [project] table"),
        ('[project]\ndynamic = ["dependencies"]\n', "dynamic"),
        ("[project]\ndependencies = 3\n", "expected a list of texts"),
        ('[project]\ndependencies = [\n  "lib",\n  "not one",\n]\n', "pyproject.toml:4"),
        ("[project\n", "not TOML"),
    ],
)
def test_a_project_that_cannot_be_read_says_why(issues, text, what):
    assert what in issues(pyproject__toml=text)[0]


CONDA = """\
name: env
channels: [conda-forge]
dependencies:
  - python=3.11.7
  - pip<=23.2
  - numpy=1.26
  - conda-forge::scikit-learn=1.4.2=py311_0
  - pandas>=2,<3
  - py-xgboost==2.0.3
  - pip:
    - mlflow==2.8.1
    - -r more.txt
"""


def test_a_conda_file_is_mapped_and_says_so(read):
    found = read(conda__yaml=CONDA, more__txt="cloudpickle\n")
    assert found.python == "3.11.7"
    assert found.requirements == (
        "numpy==1.26.*",
        "scikit-learn==1.4.2",
        "pandas>=2,<3",
        "xgboost==2.0.3",
        "mlflow==2.8.1",
        "cloudpickle",
    )
    assert found.notes[0] == "conda.yaml:6: conda's 'numpy=1.26' is taken as 'numpy==1.26.*'"
    assert found.notes[-1] == "left out, for lading installs: pip"
    assert found.mapped_from["xgboost==2.0.3"] == "py-xgboost==2.0.3"


def test_conda_packages_without_a_known_wheel_are_all_named(issues):
    text = "dependencies:\n  - libfoo\n  - cudatoolkit=11.8\n  - python=3.11\n  - r-base >=4\n"
    assert issues(environment__yml=text) == [
        "environment.yml:2: conda package 'libfoo' has no known wheel",
        "environment.yml:5: conda package 'r-base' is of R, which no wheel stands for",
    ]


@pytest.mark.parametrize(
    ("spec", "python", "requires"),
    [
        ("python=3.11", "3.11", None),
        ("python==3.11.7", "3.11.7", None),
        ("python 3.11.*", "3.11", None),
        ("python>=3.10", None, ">=3.10"),
        ("python>=3.10,<3.13", None, ">=3.10,<3.13"),
        ("python", None, None),
    ],
)
def test_the_python_of_a_conda_file(read, spec, python, requires):
    found = read(conda__yaml=f"dependencies:\n- {spec}\n")
    assert (found.python, found.requires_python) == (python, requires)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "dependencies: 3\n",
        "dependencies:\n- [x]\n",
        "dependencies:\n- pip: x\n",
        "a: [b\n",
        "- b: : c",
    ],
)
def test_a_conda_file_of_another_form_is_a_lock_error(issues, text):
    assert issues(conda__yaml=text)


def test_a_python_env_file_of_mlflow_is_read(read):
    text = "python: 3.11.7\nbuild_dependencies:\n- pip==23.2\ndependencies:\n- -r requirements.txt\n"
    found = read(python_env__yaml=text, requirements__txt="scikit-learn==1.4.2\n")
    assert found.python == "3.11.7"
    assert found.requirements == ("scikit-learn==1.4.2",)


def test_a_missing_file_is_a_lock_error(tmp_path):
    with pytest.raises(LockError, match="there is no such file"):
        sources.load(tmp_path / "absent.txt", {})


def test_a_file_that_is_no_text_is_a_lock_error(tmp_path):
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LockError, match="not UTF-8"):
        sources.load(tmp_path / "requirements.txt", {})
