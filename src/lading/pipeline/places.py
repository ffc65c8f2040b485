"""What somebody types for a place in a registry → a reference that names one, or the way to type it."""

from __future__ import annotations

import re
from dataclasses import replace

from lading.core.errors import Issue, SpecError
from lading.core.reference import Reference

_HOST = re.compile(r"(?:[^/]*\.[^/]*|localhost)(?::[0-9]+)?/?\Z|[^/]+:[0-9]{2,5}/?\Z")


def image(text: str) -> Reference:
    """Read an image of a registry, by tag or digest: latest where it has neither."""
    reference = _parse(text)
    if reference.registry is None:
        hub = f"docker.io/{'' if '/' in reference.repository else 'library/'}{text}"
        raise SpecError(Issue(repr(text), "names no registry", f"did you mean {hub!r}?"))
    return reference if reference.tag or reference.digest else reference.with_tag("latest")


def destination(source: str, text: str | None) -> Reference:
    """Read where something is to go, by default what it is called; the tag is the source's, or latest."""
    try:
        named = Reference.parse(source)
    except SpecError:
        named = None  # a digest, or the beginning of one
    if text is None:
        reference = _parse(source)
        if reference.digest and not reference.tag:
            what = "names no tag that could be given to it"
            raise SpecError(Issue(repr(source), what, f"lading push {source} NAME:TAG"))
    elif _HOST.match(text):
        whole = f"{text.rstrip('/')}/{named.repository if named else 'team/model'}"
        raise SpecError(Issue(repr(text), "names a registry, and no repository in it", f"such as {whole!r}"))
    else:
        reference = _parse(text)
        if reference.digest:
            raise SpecError(Issue(repr(text), "got a digest, expected a name to give"))
    if reference.registry is None:
        fix = f"say where: lading push {source} registry.example.com/team/{reference.repository}"
        raise SpecError(Issue(repr(text or source), "names no registry", fix))
    is_digest = source.startswith("sha256:")
    tag = reference.tag or (named.tag if named and not is_digest else None)
    return reference.with_tag(tag or "latest")


def repository(text: str) -> Reference:
    """Read a repository of a registry."""
    reference = _parse(text)
    if reference.registry is None:
        raise SpecError(Issue(repr(text), "names no repository in a registry", "list the store: lading list"))
    bare = replace(reference, tag=None, digest=None)
    if reference != bare:
        raise SpecError(Issue(repr(text), "names one image of a repository", f"lading list {bare}"))
    return bare


def _parse(text: str) -> Reference:
    scheme, colon, rest = text.partition("://")
    if colon:
        what = f"begins with '{scheme}://', which no reference does"
        raise SpecError(Issue(repr(text), what, f"leave it out: {rest}"))
    return Reference.parse(text)
