"""Wheels of one environment that hold the same path."""

from __future__ import annotations

import pytest

from lading.core.errors import IntegrityError
from lading.layers import overlap, record, wheel

SITE = "opt/lading/env/lib/python3.11/site-packages"
DATA = "demo-1.0.data"


@pytest.fixture
def plans(make_wheel, target):
    """Plan wheels of these names and files, in order of their names."""

    def plan(**wheels):
        return [wheel.plan(make_wheel(wheels[name], name=name), target) for name in sorted(wheels)]

    return plan


def test_the_wheel_whose_name_sorts_first_keeps_a_path(plans):
    one = {"tests/__init__.py": b"1", "same.py": b"="}
    two = {"tests/__init__.py": b"2", "same.py": b"="}
    found = overlap.find(plans(one=one, two=two, zwei=one), frozenset())
    assert [(path, a[:3], b[:3]) for path, a, b in found] == [(f"{SITE}/tests/__init__.py", "one", "two")]


@pytest.mark.parametrize("inner", ["thing/one.py", "thing/deep/er.py"])
def test_a_file_where_another_wheel_has_a_folder_names_both(plans, inner):
    for names in ("ab", "ba"):
        wheels = dict(zip(names, ({"thing": b"file"}, {inner: b"", "thing/__init__.py": b""}), strict=True))
        with pytest.raises(IntegrityError) as caught:
            overlap.find(plans(**wheels), frozenset())
        (issue,) = caught.value.issues
        assert "a-1.0" in issue.where
        assert "b-1.0" in issue.where
        assert f"{SITE}/thing'" in issue.what


@pytest.mark.parametrize("name", ["python", "python/inner"])
def test_a_wheel_may_not_replace_the_environments_own_files(plans, name):
    found = plans(demo={f"{DATA}/scripts/{name}": b"#!/bin/sh\n"})
    with pytest.raises(IntegrityError, match="environment"):
        overlap.find(found, {"opt/lading/env/bin/python"})


def test_metadata_of_another_wheel_is_refused(plans):
    planted = {"b-1.0.data/purelib/a-1.0.dist-info/METADATA": b"Name: c\n"}
    with pytest.raises(IntegrityError, match=r"both hold .*a-1\.0\.dist-info/METADATA"):
        overlap.find(plans(a={}, b=planted), frozenset())


def test_a_wheel_leaves_a_path_out_of_its_record_too(make_wheel, target, seal):
    path = make_wheel({"kept.py": b"1", "shared.py": b"2"})
    planned = wheel.plan(path, target, left_out={f"{SITE}/shared.py"})
    files = seal(lambda writer: wheel.write_all([planned], writer)).files
    assert f"{SITE}/shared.py" not in files
    assert set(record.parse(files[f"{SITE}/demo-1.0.dist-info/RECORD"])) == {
        path.removeprefix(f"{SITE}/") for path in files if not path.endswith("/RECORD")
    }


def test_a_warning_names_three_and_counts_the_rest():
    found = [overlap.Overlap(f"p{n}", "a.whl", "b.whl") for n in range(5)]
    assert overlap.warning(found[:1]).text.endswith("'p0' is a.whl's, not b.whl's")
    text = overlap.warning(found).text
    assert "'p2'" in text
    assert "'p3'" not in text
    assert text.endswith("; and 2 more")


def test_what_was_noted_is_read_back_and_a_damaged_note_counts_as_none():
    found = (overlap.Overlap("p", "a", "b"),)
    assert overlap.parse([list(one) for one in found]) == found
    assert overlap.parse({"p": 1}) == overlap.parse([["p"], 7, ["p", "a", 1]]) == ()
