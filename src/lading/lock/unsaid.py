"""uv's answer → what is needed by something in it that says nothing of the kind.

Releases from when every environment had setuptools import its `pkg_resources`, which setuptools 82 no longer
has. The environments that conda and virtualenv make bring it along; requirements alone do not. Extensions
that were compiled before NumPy 2 do not load beside it, and most say no more than the oldest that will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lading.lock import toml
from lading.lock.asked import Asked, demand_for
from lading.lock.python import Answer, Demand, Target, Uv
from lading.lock.sources import name_of


@dataclass(frozen=True, slots=True)
class _Need:
    """What some releases need; each library with its first that does without, as their wheels have it."""

    requirement: str
    without: Mapping[str, str]
    if_there: bool = False
    """Whether it matters only where the library is there anyway."""


_NEEDS = (
    # before the releases that warn of it
    _Need("setuptools<81", {"gunicorn": "21", "mlflow": "2.16", "mlflow-skinny": "2.16"}),
    _Need(
        "numpy<2",
        {
            "catboost": "1.2.8",
            "h5py": "3.11",
            "matplotlib": "3.9",
            "numexpr": "2.10",
            "onnxruntime": "1.19",
            "pandas": "2.2.2",
            "pyarrow": "16",
            "scikit-image": "0.23",
            "scikit-learn": "1.4.2",
            "scipy": "1.13",
            "statsmodels": "0.14.2",
        },
        if_there=True,
    ),
)


def added(
    asked: tuple[Asked, ...], limits: Demand, target: Target, uv: Uv, answer: Answer
) -> tuple[tuple[Asked, ...], Answer, tuple[str, ...]]:
    """Ask once more with each; return what was asked, the answer, and warnings of what cannot be had."""
    missing = []
    for need in _NEEDS:
        by = next(_by(need, answer.text), None)
        if by is None or name_of(need.requirement) in limits.unemitted:
            continue
        more = (*asked, Asked("model", need.requirement, by))
        again = uv.compile(demand_for(more, limits), target)
        if again.solved:
            asked, answer = more, again
        else:
            missing.append(
                f"{by} needs {need.requirement}, which cannot be had beside the rest: it may not start"
            )
    return asked, answer, tuple(missing)


def _by(need: _Need, pylock: str) -> Iterator[str]:
    """Tell what in an answer needs it and does not have it."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    packages = toml.parse(pylock.encode(), "pylock.toml").get("packages", [])
    versions = {one["name"]: str(one["version"]) for one in packages if "version" in one}
    wanted = Requirement(need.requirement)
    has = versions.get(wanted.name)
    if need.if_there if has is None else wanted.specifier.contains(has, prereleases=True):
        return
    for name, without in need.without.items():
        if name in versions and Version(versions[name]) < Version(without):
            yield f"{name} {versions[name]}"
