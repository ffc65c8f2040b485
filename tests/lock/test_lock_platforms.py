"""What a package asks of an index when it is for more than one platform."""

from __future__ import annotations

import pytest

from lading.core.errors import Issue, LockError
from lading.core.platform import Platform

BOTH = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))
X86, ARM = "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_aarch64"


@pytest.fixture
def refuse(lock_of):
    def run(question, **more):
        with pytest.raises(LockError) as caught:
            lock_of(question, **more)
        return [one for one in caught.value.issues if one.where != "uv"]

    return run


def test_a_package_without_a_wheel_for_one_platform_is_named_with_versions_that_have_one(smith, ask, refuse):
    for version, tags in (("1.0", (X86, ARM)), ("2.0", (X86,)), ("3.0", (X86, ARM))):
        for tag in tags:
            smith.wheel("lib", version, tag=tag)
    (issue,) = refuse(ask("lib==2.0", platforms=BOTH))
    assert issue.where == "model (spec): lib==2.0"
    assert issue.what.startswith("'lib' has no wheel for linux/arm64, Python 3.11; there are wheels for ")
    assert "x86_64" in issue.what
    assert issue.fix.startswith("ask for version 1.0 or 3.0, which has one, or ")


def test_the_versions_that_a_dependency_should_have_are_told_too(smith, ask, refuse):
    smith.wheel("app", "1.0", "lib==2.0")
    for version, tags in (("1.0", (X86, ARM)), ("2.0", (X86,))):
        for tag in tags:
            smith.wheel("lib", version, tag=tag)
    (issue,) = refuse(ask("app", platforms=BOTH))
    assert issue.where == "model (spec): app → lib==2.0"
    assert "ask for version 1.0" in issue.fix


def test_every_package_without_a_wheel_is_named_on_every_platform_at_once(smith, ask, refuse):
    smith.wheel("one", "1.0", tag=X86)
    smith.wheel("two", "1.0", tag=X86)
    smith.wheel("three", "1.0", tag=ARM)
    smith.wheel("fine", "1.0")
    issues = refuse(ask("one", "two", "fine", "three", "absent", platforms=BOTH))
    told = {
        (one.what.split("'")[1], word) for one in issues for word in ("amd64", "arm64") if word in one.what
    }
    assert told == {("one", "arm64"), ("two", "arm64"), ("three", "amd64")}
    assert [one for one in issues if one.what == "no index has a package 'absent'"]


def test_a_package_that_no_version_has_a_wheel_of_is_to_be_dropped_or_the_platform(smith, ask, refuse):
    smith.wheel("lib", "1.0", tag=X86)
    smith.wheel("other", "1.0", tag=ARM)
    issues = refuse(ask("lib==1.0", "other==1.0", platforms=BOTH))
    foreign = [one for one in issues if f"{Platform.current()}" not in one.what]
    assert [one.fix.split(", or ")[0] for one in issues] == ["drop it: no version has one"] * 2
    assert [one for one in foreign if "out of 'platforms'" in one.fix] == foreign


def test_where_sources_cannot_be_built_the_reason_and_its_remedy_are_told(smith, ask, refuse):
    smith.sdist("lib", "1.0", {})
    problem = Issue("sandbox", "no emulator", "install an emulator")
    asked = []

    def cannot_run(platform):
        asked.append(platform)
        return problem

    (issue,) = refuse(ask("lib", platforms=BOTH[1:]), build=pytest.fail, cannot_run=cannot_run)
    assert "let its source be built: install an emulator" in issue.fix
    assert set(asked) == {BOTH[1]}


def test_another_version_on_one_platform_than_on_the_other_is_told(smith, ask, lock_of):
    events = []
    smith.wheel("same", "1.0")
    smith.wheel("lib", "1.0", tag=ARM)
    smith.wheel("lib", "1.0", tag=X86)
    smith.wheel("lib", "2.0", tag=X86)
    lock_of(ask("lib", "same", platforms=BOTH), events=events.append)
    (warning,) = [one.text for one in events if one.kind == "warning"]
    assert warning.startswith("lib is 2.0 for linux/amd64, 1.0 for linux/arm64: pin a version")


def test_one_platform_alone_is_never_compared(smith, ask, lock_of):
    events = []
    smith.wheel("lib", "1.0")
    lock_of(ask("lib", platforms=BOTH[:1]), events=events.append)
    assert [one for one in events if one.kind == "warning"] == []
