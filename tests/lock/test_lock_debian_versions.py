from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.core.errors import IntegrityError
from lading.lock.debian_version import Relation, parse_relations, version_key

ORDERED = [
    "1.0~~", "1.0~~a", "1.0~", "1.0~rc1", "1.0", "1.0-0.1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u2",
    "1.0-1+deb12u10", "1.0a", "1.0+b", "1.0.1", "1.2-3", "1.2-3-4", "1.10", "2.0", "1:0.9",
]  # fmt: skip
UPSTREAM = st.text("0123456789abZ.+~", min_size=1, max_size=8).map(lambda text: f"1{text}")
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    UPSTREAM,
    st.one_of(st.just(""), UPSTREAM.map(lambda text: f"-{text}")),
)


def test_versions_sort_as_debian_policy_says():
    assert sorted(ORDERED[9:] + ORDERED[:9], key=version_key) == ORDERED


def test_different_spellings_of_one_version_are_equal():
    assert version_key("1.0") == version_key("0:1.0") == version_key("1.00-0")


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg: apt-get install dpkg")
@given(VERSIONS, VERSIONS)
@settings(max_examples=100)
def test_versions_sort_as_dpkg_sorts_them(one, other):
    def says(relation):
        return (
            subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0
        )

    assert (version_key(one) < version_key(other)) == says("lt")
    assert (version_key(one) == version_key(other)) == says("eq")


def test_an_epoch_that_is_no_number_is_refused():
    with pytest.raises(IntegrityError, match="expected a number before ':'"):
        version_key("x:1")


def test_relations_are_read_with_alternatives_bounds_and_qualifiers():
    text = "libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.12), a [amd64] <!nocheck>,"
    assert parse_relations(text) == (
        (Relation("libc6", ">=", "2.36"),),
        (Relation("debconf", ">=", "0.5"), Relation("debconf-2.0")),
        (Relation("python3", "<<", "3.12"),),
        (Relation("a"),),
    )


@pytest.mark.parametrize("text", ["libc6 (~ 1)", "Lib", "a b", "a (>= )"])
def test_a_malformed_relation_is_refused(text):
    with pytest.raises(IntegrityError, match="expected a package"):
        parse_relations(text)


@pytest.mark.parametrize(
    ("relation", "version", "admits"),
    [
        ("a (>= 1.0)", "1.0", True),
        ("a (>> 1.0)", "1.0", False),
        ("a (<< 1.0)", "1.0~rc1", True),
        ("a (= 1.0)", "1.0-1", False),
        ("a (<= 1.0)", "1.0", True),
        ("a (>= 1.0)", None, False),
        ("a", None, True),
    ],
)
def test_a_relation_admits_versions_within_its_bound(relation, version, admits):
    assert parse_relations(relation)[0][0].admits(version) is admits
