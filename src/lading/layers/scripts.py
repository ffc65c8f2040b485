"""Packages in; what their maintainer scripts would have done that matters, and is not done, out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lading.core.lock import LockedDeb
from lading.core.ports import Event, LayerCache
from lading.layers import alternatives, deb

_VERSION = 2  # part of the notes' key: raise it when the table below changes
_DEEDS = {
    "make a user or group": "adduser addgroup useradd groupadd usermod",
    "start a service": "systemctl deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d",
    "divert files of other packages": "dpkg-divert",
    "give programs capabilities": "setcap",
    "make a key or certificate": "ssh-keygen make-ssl-cert openssl",
    "register image loaders": "gdk-pixbuf-query-loaders",
    "compile schemas of settings": "glib-compile-schemas",
    "build the database of file types": "update-mime-database",
    "make locales": "locale-gen update-locale",
    "build TeX's formats": "mktexlsr fmtutil-sys updmap-sys",
    "make Java's store of certificates": "-storepass",
    "enable modules": "a2enmod phpenmod",
    "register catalogues of XML": "update-xmlcatalog",
}
_CALLS = {
    deed: re.compile(
        rf"(?:^|[\s;&|(\"'/])(?:{'|'.join(map(re.escape, names.split()))})(?=$|[\s;\"')])", re.MULTILINE
    )
    for deed, names in _DEEDS.items()
}
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
# what their scripts do is done by the layer that ties a base together, or is for upgrades alone
_SETTLED = {"base-files", "ca-certificates", "libc6", "tzdata"}


def deeds(script: str) -> list[str]:
    """Tell what a configuring script would do; what lading does itself, or needs no doing, is left out."""
    plain = _COMMENT.sub("", script)
    found = [deed for deed, call in _CALLS.items() if call.search(plain)]
    if alternatives.has_others(plain):
        found.append("choose among alternatives")
    return found


def warning(
    packages: Sequence[LockedDeb], bring: Callable[[LockedDeb], Path], cache: LayerCache
) -> Event | None:
    """Name the packages whose scripts matter; each is read once, and noted in the cache."""
    told = []
    for one in packages:
        key = f"scripts {_VERSION} {one.digest}"
        found = cache.recall(key)
        if found is None and one.name not in _SETTLED:
            found = deeds(deb.script(bring(one)))
            cache.note(key, found)
        if found:
            told.append(f"{one.name} ({', '.join(found)})")
    if not told:
        return None
    return Event("assemble", "warning", f"no maintainer script is run; these would: {', '.join(told)}")
