"""A lock stays fresh wherever it is taken, while it allows what the model's files tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.lock import Interpreter, Lock, LockedBase, PlatformLock
from lading.core.model import Requirement
from lading.core.platform import Libc, Platform
from lading.core.server import ServerNeeds
from lading.lock import Question, is_fresh, settled

AMD64 = Platform.parse("linux/amd64")
SPEC = Requirement("pandas>=2", "spec")
SKLEARN = Requirement("scikit-learn==1.9.1", "pickle")
OPEN = Requirement("numpy>=2", "pickle")


def installed(version: str, name: str = "numpy") -> Requirement:
    return Requirement(f"{name}=={version}", "installed")


def ask(*requirements: Requirement, python: str | None = None) -> Question:
    return Question(ServerNeeds("lading", (), ()), (AMD64,), requirements, python=python)


def answer(question: Question, python: str = "3.11.2") -> Lock:
    base = LockedBase("debian:bookworm", "bookworm", (), Libc("glibc", 2, 36))
    part = PlatformLock(AMD64, base, Interpreter("/usr/bin/python3", python), (), ())
    return Lock(question.digest, "lading", question.requirements, (part,))


def is_kept(now: Question, then: Question, *, told: bool = False, missing: bool = False) -> bool:
    lock = answer(then)
    return any(is_fresh(lock, one) for one in settled(now, lock, python_told=told, missing=missing))


@pytest.mark.parametrize(
    ("now", "then", "kept"),
    [
        # locked where the model was trained, packed where nothing is installed, or something else
        ((SPEC, OPEN, SKLEARN), (SPEC, installed("2.4.6"), SKLEARN), True),
        ((SPEC, installed("2.4.7"), SKLEARN), (SPEC, installed("2.4.6"), SKLEARN), True),
        ((SPEC, installed("2.5"), SKLEARN), (SPEC, OPEN, SKLEARN), True),
        # the files tell otherwise
        ((OPEN, SKLEARN), (installed("1.26.4"), SKLEARN), False),
        ((installed("2.0"), SKLEARN), (installed("1.26.4"), SKLEARN), False),
        ((OPEN, Requirement("scikit-learn==1.9.2", "pickle")), (OPEN, SKLEARN), False),
        # the author does
        ((Requirement("pandas>=3", "spec"), OPEN), (SPEC, OPEN), False),
        ((OPEN,), (SPEC, OPEN), False),
        # something is needed that was not locked
        ((Requirement("joblib", "pickle"), OPEN), (OPEN,), False),
        # something was locked that nothing needs any more
        ((OPEN,), (OPEN, SKLEARN), False),
    ],
)
def test_what_is_installed_here_does_not_make_a_lock_stale(
    now: tuple[Requirement, ...], then: tuple[Requirement, ...], *, kept: bool
) -> None:
    assert is_kept(ask(*now), ask(*then)) is kept


def test_a_module_that_nothing_here_provides_may_have_been_locked() -> None:
    encoders = installed("2.6", "category-encoders")
    now, then = ask(OPEN), ask(encoders, installed("2.4.6"))
    assert is_kept(now, then, missing=True)
    assert not is_kept(now, then)


def test_the_python_that_runs_lading_is_no_reason_and_the_models_is() -> None:
    now, then = ask(installed("2.4.6"), python="3.13"), ask(installed("2.4.6"), python="3.11")
    assert is_kept(now, then)
    assert is_kept(ask(OPEN), then)
    assert not is_kept(now, then, told=True)


def test_names_are_compared_as_indexes_do() -> None:
    assert is_kept(ask(installed("1.0", "Some_Thing")), ask(installed("1.1", "some-thing")))


VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 9)).map(lambda one: f"{one[0]}.{one[1]}")


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), VERSIONS)
def test_the_question_that_was_locked_is_always_kept(names: list[str], version: str) -> None:
    then = ask(SPEC, *sorted((installed(version, one) for one in names), key=lambda one: one.text))
    assert is_kept(then, then)


def test_whatever_else_is_asked_for_counts() -> None:
    then = ask(installed("2.4.6"))
    for other in (replace(then, base="debian:trixie"), replace(then, system_packages=("libgl1",))):
        assert not is_kept(other, then)
