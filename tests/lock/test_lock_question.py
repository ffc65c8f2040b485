from __future__ import annotations

import os
import shutil

import pytest

from lading.core.errors import LockError
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.core.spec import Indexes
from lading.lock import choose
from lading.lock.interpreter import Chosen


@pytest.mark.parametrize(
    ("base", "python", "chosen"),
    [
        (None, None, ("debian:bookworm", "3.11")),
        (None, "3.9", ("debian:bookworm", "3.9")),
        (None, "3.12", ("debian:bookworm", "3.12")),
        (None, "3.13.1", ("debian:trixie", "3.13")),
        ("debian:trixie", None, ("debian:trixie", "3.13")),
        ("debian:bookworm", "3.11.7", ("debian:bookworm", "3.11")),
        ("example.org/python:3", None, ("example.org/python:3", None)),
    ],
)
def test_base_and_python_are_chosen_together(base, python, chosen):
    assert choose(base, python) == Chosen(*chosen)


@pytest.mark.parametrize("python", ["3.7", "3.99", "2.7", "three"])
def test_a_python_that_nothing_provides_is_refused(python):
    with pytest.raises(LockError, match=r"expected 3\.8 to 3\.14"):
        choose(None, python)


def test_the_digest_depends_on_everything_that_is_asked(ask, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    questions = [
        ask(),
        ask("lib"),
        ask("lib", without=("mlflow",)),
        ask("lib", python="3.11"),
        ask("lib", base="debian:bookworm"),
        ask("lib", system_packages=("libgl1",)),
        ask("lib", indexes=Indexes("https://h/simple")),
        ask("lib", indexes=Indexes(None, ("https://h/simple",))),
        ask("lib", indexes=Indexes(None, (), (str(links),))),
        ask("lib", platforms=(Platform.parse("linux/arm64"),)),
        ask("lib", server=ServerNeeds("mlserver", (), ())),
        ask("lib", server=ServerNeeds("lading", ("uvicorn",), ())),
    ]
    assert len({question.digest for question in questions}) == len(questions)


def test_the_digest_depends_on_contents_and_not_on_paths(ask, tmp_path):
    one = tmp_path / "one"
    (one / "sub").mkdir(parents=True)
    (one / "requirements.txt").write_text("-r sub/more.txt\n./lib-1.0-py3-none-any.whl\n")
    (one / "sub/more.txt").write_text("app\n")
    (one / "lib-1.0-py3-none-any.whl").write_text("first")
    two = shutil.copytree(one, tmp_path / "two")

    def digest(folder):
        return ask(requirements_file=folder / "requirements.txt").digest

    assert digest(one) == digest(two)
    (two / "sub/more.txt").write_text("app>1\n")
    assert digest(one) != digest(two)
    shutil.copy(one / "sub/more.txt", two / "sub/more.txt")
    (two / "lib-1.0-py3-none-any.whl").write_text("second")
    assert digest(one) != digest(two)


def test_an_include_in_a_conda_file_counts(ask, tmp_path):
    path = tmp_path / "conda.yaml"
    path.write_text("dependencies: [python=3.11, {pip: ['-r more.txt']}]\n")
    (tmp_path / "more.txt").write_text("lib\n")
    before = ask(requirements_file=path).digest
    (tmp_path / "more.txt").write_text("lib>1\n")
    assert ask(requirements_file=path).digest != before


def test_files_that_include_each_other_end(ask, tmp_path):
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n")
    assert ask(requirements_file=tmp_path / "a.txt").digest


def test_a_new_wheel_in_a_find_links_folder_counts(ask, smith):
    question = ask("lib", indexes=Indexes(None, (), (str(smith.folder),)))
    before = question.digest
    smith.wheel("lib", "1.0")
    assert question.digest != before


def test_the_working_directory_does_not_matter(ask, tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("lib\n")
    monkeypatch.chdir(tmp_path)
    relative = ask(requirements_file=os.path and tmp_path.__class__("requirements.txt")).digest
    assert relative == ask(requirements_file=tmp_path / "requirements.txt").digest
