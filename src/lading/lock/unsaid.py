"""uv's answer → what is needed by something in it that says nothing of the kind.

Releases from when every environment had setuptools import its `pkg_resources`, which setuptools 82 no longer
has. The environments that conda and virtualenv make bring it along; requirements alone do not.
"""

from __future__ import annotations

from lading.lock import toml
from lading.lock.asked import Asked, demand_for
from lading.lock.python import Answer, Demand, Target, Uv
from lading.lock.sources import name_of

_NEEDED = "setuptools<81"
"""Before the releases that warn of it."""
_IMPORTERS = {"gunicorn": "21", "mlflow": "2.16", "mlflow-skinny": "2.16"}
"""Each with its first release that does without, as their wheels have it."""


def added(
    asked: tuple[Asked, ...], limits: Demand, target: Target, uv: Uv, answer: Answer
) -> tuple[tuple[Asked, ...], Answer, str | None]:
    """Ask once more with it; return what was asked, the answer, and a warning where it cannot be had."""
    if (by := _by(answer.text)) is None or name_of(_NEEDED) in limits.unemitted:
        return asked, answer, None
    more = (*asked, Asked("model", _NEEDED, by))
    again = uv.compile(demand_for(more, limits), target)
    if again.solved:
        return more, again, None
    what = f"{by} needs {_NEEDED}, which cannot be had beside the rest: it may not start"
    return asked, answer, what


def _by(pylock: str) -> str | None:
    """Tell what in an answer needs it, None where nothing does or it is there."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    packages = toml.parse(pylock.encode(), "pylock.toml").get("packages", [])
    versions = {one["name"]: str(one["version"]) for one in packages if "version" in one}
    wanted = Requirement(_NEEDED)
    if wanted.name in versions and wanted.specifier.contains(versions[wanted.name], prereleases=True):
        return None
    old = (
        name
        for name, without in _IMPORTERS.items()
        if name in versions and Version(versions[name]) < Version(without)
    )
    return next((f"{name} {versions[name]}" for name in old), None)
