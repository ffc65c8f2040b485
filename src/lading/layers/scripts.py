"""Packages in; what their maintainer scripts would have done that matters, and is not done, out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lading.core.lock import LockedDeb
from lading.core.ports import Event, LayerCache
from lading.layers import alternatives, deb, graphviz, shell

_VERSION = 3  # part of the notes' key: raise it when the tables below change
_SERVICE = "start a service"
_PLUGINS = "register plugins of Graphviz"
_DEEDS = {
    "make a user or group": "adduser addgroup useradd groupadd usermod systemd-sysusers",
    _SERVICE: "systemctl deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d service",
    "divert files of other packages": "dpkg-divert",
    "give programs capabilities": "setcap",
    "make a key or certificate": "ssh-keygen make-ssl-cert openssl",
    "register image loaders": "gdk-pixbuf-query-loaders",
    "compile schemas of settings": "glib-compile-schemas",
    "build the database of file types": "update-mime-database",
    "make locales": "locale-gen update-locale",
    "build TeX's formats": "mktexlsr fmtutil-sys updmap-sys update-updmap update-texmf",
    "make Java's store of certificates": "keytool",
    "enable modules": "a2enmod phpenmod apache2_invoke",
    "register catalogues of XML": "update-xmlcatalog update-catalog",
    "register dictionaries of aspell": "update-dictcommon-aspell aspell-autobuildhash",
    "register drivers of ODBC": "odbcinst",
    "make folders for its daemons": "systemd-tmpfiles",
    _PLUGINS: "libgvc6-config-update",
    "compile a dictionary of MeCab": "mecab-dict-index",
}
_DEED_OF = {name: deed for deed, names in _DEEDS.items() for name in names.split()}
# What a script may do without anybody missing it: the shell's own words, questions, work on the script's
# own files, records for dpkg and debconf, caches that programs do without, what lading does in its own way.
_HARMLESS_WORDS = """
    . : [ [[ ]] alias break case cd command continue declare done echo esac eval exit export false for
    getopts hash in let local print printf pwd read readonly return select set shift test times trap
    true type typeset ulimit umask unset wait { awk basename cat chgrp chmod chown cmp comm cut date
    diff dirname egrep env expr fgrep find getent gawk grep head hostname id kill ls md5sum mkdir mktemp
    mountpoint mv nproc ps pwd readlink realpath rm rmdir sed seq sha256sum sleep sort sync tail
    tee tempfile touch tr uname uniq wc which who runlevel ischroot cp install ln ucf ucfr dpkg
    dpkg-architecture dpkg-maintscript-helper dpkg-query dpkg-statoverride dpkg-trigger
    deb-systemd-escape db_capb db_clear db_endblock db_fget db_fset db_get db_go db_input db_metaget
    db_progress db_purge db_register db_reset db_set db_settitle db_stop db_subst db_title db_unregister
    db_version ldconfig update-alternatives update-ca-certificates py3compile py3clean pycompile
    pypy3compile pypycompile aa-enabled apparmor_parser restorecon systemd-detect-virt nscd getcap
    gio-querymodules telinit update-grub update-initramfs sysctl udevadm add-shell update-shells
    update-binfmts pam-auth-update update-menus update-mime update-icon-caches gtk-update-icon-cache
    update-desktop-database update-gsfontmap install-info mandb helpztags fc-cache appstreamcli
    emacs-package-install install-docs gconf-schemas
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_BYTE_CODE = re.compile(r"py_compile|compileall")
# what is no daemon's, and what starts none
_NO_START = re.compile(r"\.(?:timer|socket|path|target|mount)$| (?:(?:daemon-|force-)?reload|status|is-\w+)$")
_SHELL = re.compile(r"#! ?(?:/usr)?/bin/(?:env )?(?:ba|da)?sh\b")
# what their scripts do is done by the layer that ties a base together, or is for upgrades alone
_SETTLED = re.compile(
    r"(?:base-files|base-passwd|ca-certificates|libc6|libc-bin|tzdata|dash|debianutils|"
    r"python3(?:\.\d+)?(?:-minimal)?)\Z"
)


def deeds(script: str) -> list[str]:
    """Tell what a configuring script would do; what lading does itself, or needs no doing, is left out.

    A command that nobody knows counts as one that matters.
    """
    if not script.strip():
        return []
    if script.startswith("#!") and not _SHELL.match(script):
        return [f"run its script for {script.partition(chr(10))[0][2:].strip().rpartition('/')[2]}"]
    found = dict.fromkeys(filter(None, map(_deed, shell.commands(script))))
    if alternatives.has_others(script):
        found["choose among alternatives"] = None
    return list(found)


def _deed(words: Sequence[str]) -> str | None:
    name = words[0].rpartition("/")[2]
    text = " ".join(words)
    if name in _HARMLESS or _BYTE_CODE.search(text):
        return None
    deed = _DEED_OF.get(name)
    if deed == _SERVICE and _NO_START.search(text):
        return None
    return deed or ("run a command that is not plain" if "$" in name else f"run {name}")


def warning(
    packages: Sequence[LockedDeb], bring: Callable[[LockedDeb], Path], cache: LayerCache
) -> Event | None:
    """Name the packages whose scripts matter; each is read once, and noted in the cache."""
    told = []
    is_listed = any(one.name == graphviz.PACKAGE for one in packages)  # the layer that ties has the list
    for one in packages:
        key = f"scripts {_VERSION} {one.digest}"
        found = cache.recall(key)
        if found is None and not _SETTLED.match(one.name):
            found = deeds(deb.script(bring(one)))
            cache.note(key, found)
        if is_listed and found:
            found = [deed for deed in found if deed != _PLUGINS]
        if found:
            told.append(f"{one.name} ({', '.join(found)})")
    if not told:
        return None
    return Event("assemble", "warning", f"no maintainer script is run; these would: {', '.join(told)}")
