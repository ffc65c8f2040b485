"""What a model was saved with, and a lock → where the environment is another than the model's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lading.core.bill import Bill
from lading.core.builds import library_of
from lading.core.lock import Lock
from lading.lock import provided
from lading.lock.sources import name_of

if TYPE_CHECKING:
    from packaging.version import Version

_COMPATIBLE = frozenset({"cloudpickle", "joblib", "skops"})
"""What reads in a major version whatever it wrote in another release of it."""
_PYTHON = "python"


def of(lock: Lock, saved_with: Sequence[str]) -> list[str]:
    """Tell each library, and the Python, that is not of the release a model was saved with.

    `saved_with` are texts such as `scikit-learn==1.1.2` and `numpy<2`. A release is its first two numbers:
    what is mended within one is no drift.
    """
    told: dict[str, None] = {}
    for part in lock.platforms:
        versions = {library_of(one.name): one.version for one in part.model}
        versions |= {_PYTHON: part.interpreter.version, **provided.versions(part.conda)}
        told |= dict.fromkeys(_differing(versions, saved_with))
    return list(told)


def of_bill(bill: Bill) -> list[str]:
    """Tell the same of a sealed package."""
    versions = {library_of(one.name): one.version for one in bill.environment.packages}
    found = (one.partition("==") for each in bill.environment.conda_packages for one in each.distributions)
    versions |= {_PYTHON: bill.environment.python, **{name: version for name, _, version in found if version}}
    return list(_differing(versions, bill.model.saved_with))


def _differing(versions: Mapping[str, str], saved_with: Sequence[str]) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    for text in saved_with:
        name = name_of(text)
        locked = versions.get(name)
        try:
            saved = Requirement(text)
            if locked is None or saved.specifier.contains(locked, prereleases=True):
                continue
        except (InvalidRequirement, InvalidVersion):  # a stranger's bill
            continue
        pins = [one.version for one in saved.specifier if one.operator == "=="]
        if pins and _is_one_release(Version(pins[0]), Version(locked), 1 if name in _COMPATIBLE else 2):
            continue
        called = "Python" if name == _PYTHON else saved.name
        with_what = pins[0] if pins else str(saved.specifier)
        yield f"the model was saved with {called} {with_what}, and the environment has {locked}"


def _is_one_release(saved: Version, locked: Version, numbers: int) -> bool:
    """Compare the first numbers of two versions; one that has fewer stands for all that begin so."""
    told = saved.release[:numbers]
    return saved.epoch == locked.epoch and told == locked.release[: len(told)]
