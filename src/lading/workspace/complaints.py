"""What is wrong with what was asked of a workspace: nouns go in, errors come out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from lading.core.assets import EDITABLE, Asset, AssetReference
from lading.core.errors import Issue, RegistryError, SpecError

_TOLD_DIFFERENCES = 3


class UnknownAssetError(RegistryError):
    """No asset of that name, or no such version or label of it."""


def unknown(reference: AssetReference, where: str, names: Collection[str]) -> UnknownAssetError:
    """Say that there is no such name, and which are like it."""
    near = difflib.get_close_matches(reference.name, sorted(names), 3)
    fix = f"did you mean {' or '.join(map(repr, near))}?" if near else _listing(reference)
    return UnknownAssetError(Issue(shown(reference), f"is not in {where}", fix))


def unknown_version(reference: AssetReference, where: str, versions: Sequence[str]) -> UnknownAssetError:
    """Say that there is no such version, and which there are."""
    return UnknownAssetError(
        Issue(shown(reference), f"is not in {where}", f"its versions: {', '.join(versions)}")
    )


def unknown_label(reference: AssetReference, where: str, labels: Sequence[str]) -> UnknownAssetError:
    """Say that no version has the label, and which there are."""
    return UnknownAssetError(
        Issue(shown(reference), f"is not in {where}", f"its labels: {', '.join(labels)}")
    )


def changed(there: Asset, wanted: Asset, fix: str) -> SpecError:
    """Say that a version is there with other content, and what of it differs."""
    told = [
        f"{key} is {_brief(there.document.get(key))}, not {_brief(wanted.document.get(key))}"
        for key in sorted({*there.document, *wanted.document} - EDITABLE)
        if there.document.get(key) != wanted.document.get(key)
    ]
    old, new = ({one.path: one for one in asset.files} for asset in (there, wanted))
    told += [f"{path} is gone" for path in old if path not in new]
    told += [f"{path} is new" for path in new if path not in old]
    told += [f"{path} differs" for path in new if path in old and old[path] != new[path]]
    more = f" and {len(told) - _TOLD_DIFFERENCES} more" if len(told) > _TOLD_DIFFERENCES else ""
    differences = ", ".join(told[:_TOLD_DIFFERENCES]) + more
    what = f"is there with other content, and a version never changes: {differences}"
    return SpecError(Issue(shown(there.reference), what, fix))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def shown(reference: AssetReference) -> str:
    """Name an asset, as an issue does."""
    end = f":{reference.version}" if reference.version else f"@{reference.label}" if reference.label else ""
    return f"{reference.kind} {reference.name + end!r}"


def _listing(reference: AssetReference) -> str:
    return f"list what there is: lading {reference.kind} list"
