"""The files of an asset: which are kept, under which path, and which folder is refused."""

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.errors import SpecError
from lading.workspace import list_files


def write(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def paths(folder, **options):
    return [one.path for one in list_files(folder, **options)]


def test_a_folder_keeps_its_name_and_a_file_lies_flat(tmp_path):
    write(tmp_path, "model/sub/a", "model/b")
    assert paths(tmp_path / "model") == ["model/b", "model/sub/a"]
    assert paths(tmp_path / "model" / "b") == ["b"]
    assert paths(tmp_path / "model", keeps_name=False) == ["b", "sub/a"]


def test_amlignore_wins_over_gitignore_and_neither_is_kept(tmp_path):
    write(tmp_path, "m/a.log", "m/b.tmp", "m/c")
    (tmp_path / "m" / ".gitignore").write_text("*.tmp\n")
    assert paths(tmp_path / "m") == ["m/a.log", "m/c"]
    (tmp_path / "m" / ".amlignore").write_text("*.log\n")
    assert paths(tmp_path / "m") == ["m/b.tmp", "m/c"]


def test_a_byte_order_mark_is_no_part_of_the_first_pattern(tmp_path):
    write(tmp_path, "m/a.log", "m/c")
    (tmp_path / "m" / ".amlignore").write_text("*.log\n", encoding="utf-8-sig")
    assert paths(tmp_path / "m") == ["m/c"]


def test_secrets_by_custom_and_caches_are_left_out(tmp_path):
    write(tmp_path, "m/.env", "m/__pycache__/x.pyc", "m/.git/config", "m/a")
    assert paths(tmp_path / "m") == ["m/a"]


_LINES = st.sampled_from(
    [
        "*.log",
        "!keep.log",
        "/a",
        "a/",
        "sub/",
        "sub/*",
        "!sub/keep.log",
        "**/b",
        "# words",
        "",
        "b/**",
        "*",
        "!*/",
    ]
)
_FILES = ("a", "b", "x.log", "keep.log", "sub/a", "sub/keep.log", "sub/b/c", "b2/b", "a2/a/z")


@given(st.lists(_LINES, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_left_out_is_what_git_leaves_out(tmp_path, lines):
    folder = tmp_path / "m"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, *_FILES)
    (folder / ".gitignore").write_text("".join(f"{line}\n" for line in lines))
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    command = ["git", "-C", str(folder), "ls-files", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    expected = sorted(f"m/{one}" for one in listed if one != ".gitignore")
    if expected:
        assert paths(folder) == expected
    else:
        with pytest.raises(SpecError, match="no files to keep"):
            list_files(folder)


def test_every_problem_of_a_folder_is_told_at_once(tmp_path):
    write(tmp_path, "m/a", "outside")
    (tmp_path / "m" / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "m" / "dangling").symlink_to("nowhere")
    (tmp_path / "m" / "within").symlink_to("a")
    os.mkfifo(tmp_path / "m" / "pipe")
    with pytest.raises(SpecError) as caught:
        list_files(tmp_path / "m")
    said = str(caught.value)
    assert "a link out of the folder" in said
    assert "dangling: cannot be read" in said
    assert "neither a file nor a link to one" in said
    for name in ("away", "dangling", "pipe"):
        (tmp_path / "m" / name).unlink()
    assert paths(tmp_path / "m") == ["m/a", "m/within"]


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(SpecError, match="no such file or folder"):
        list_files(tmp_path / "nowhere")
