"""A signed InRelease file in; what it vouches for out: digest and length of each index of a suite.

Source: Debian's repository format (RepositoryFormat, "Release" files); RFC 9580 for the signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError
from lading.lock.distribution import DEBIAN, Distribution

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(
    r"\w+, +(?P<day>\d+) (?P<month>\w+) (?P<year>\d{4}) (?P<hour>\d+):(?P<minute>\d+):(?P<second>\d+) "
    r"(?:UTC|GMT|\+0000)\Z"
)


@dataclass(frozen=True, slots=True)
class Release:
    """What one suite of a mirror holds, vouched for by Debian's signature."""

    suite: str
    digest: Digest
    """Of the signed text."""
    valid_until: datetime | None
    by_hash: bool
    files: Mapping[str, tuple[Digest, int]]
    """Digest and length in bytes of each index, by its path below the suite."""

    @classmethod
    def read(
        cls,
        signed: bytes,
        suite: str,
        *,
        where: str,
        keyrings: Sequence[Path] = (),
        distribution: Distribution = DEBIAN,
    ) -> Release:
        """Check the signature of an InRelease file, then read it.

        `keyrings` are accepted beside the distribution's own keys. LockError where nobody known signed it;
        IntegrityError where it is of another suite or malformed.
        """
        text = _verify(signed, where, distribution, keyrings)
        fields, files = _split(text.decode("utf-8", "replace"), where)
        got, pocket = fields.get("Codename"), fields.get("Suite", "")
        # Ubuntu's `noble-updates` has the codename `noble`, and is not taken for it
        names = {pocket} if pocket.startswith(f"{got}-") else {got, pocket}
        if suite not in names:
            raise IntegrityError(Issue(where, f"got the release of {got!r}, expected {suite!r}"))
        until = fields.get("Valid-Until")
        return cls(
            suite,
            Digest.of(text),
            _moment(until, where) if until else None,
            fields.get("Acquire-By-Hash") == "yes",
            files,
        )


def _verify(signed: bytes, where: str, distribution: Distribution, keyrings: Sequence[Path]) -> bytes:
    """Return the signed text, and nothing that stands outside the signature."""
    from pysequoia import Cert, verify

    try:
        certificates = [
            certificate
            for keyring in (distribution.keys, *keyrings)
            for certificate in Cert.split_bytes(keyring.read_bytes())
        ]
        signed_text = verify(signed, lambda _: certificates).bytes
    # pysequoia raises plain exceptions of several built-in kinds, whose text may end in a stack trace
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        variable = distribution.keyring_variable
        what = f"no signature of a known {distribution.title} archive key: {reason}"
        fix = f"take another mirror; where it signs with a key of its own, name that in {variable}"
        raise LockError(Issue(where, what, fix)) from error
    if signed_text is None:
        raise LockError(Issue(where, "is not signed"))
    return signed_text


def _split(text: str, where: str) -> tuple[dict[str, str], dict[str, tuple[Digest, int]]]:
    """Split into simple fields and the rows of `SHA256`."""
    fields: dict[str, str] = {}
    files: dict[str, tuple[Digest, int]] = {}
    field = ""
    for line in text.splitlines():
        if not line.startswith(" "):
            field, _, value = line.partition(":")
            fields[field] = value.strip()
        elif field == "SHA256":
            match line.split():
                case [hexadecimal, size, path] if size.isdecimal():
                    files[path] = (Digest.parse(f"sha256:{hexadecimal}"), int(size))
                case _:
                    raise IntegrityError(
                        Issue(where, f"got {line!r}, expected a digest, a length and a path")
                    )
    return fields, files


def _moment(text: str, where: str) -> datetime:
    """Read `Sat, 12 Sep 2026 07:55:41 UTC`; by hand, because strptime follows the locale."""
    match = _DATE.match(text)
    if not match or match["month"] not in _MONTHS:
        raise IntegrityError(Issue(where, f"got {text!r}, expected a date in UTC"))
    month = _MONTHS.index(match["month"]) + 1
    year, day, hour, minute, second = map(int, match.group("year", "day", "hour", "minute", "second"))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError as error:
        raise IntegrityError(Issue(where, f"got {text!r}, expected a date: {error}")) from error
