"""Names with several values, as Werkzeug has them: a request's headers, query, form and files."""

# a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def _typed(value: Any, default: Any, kind: Any) -> Any:
    """Return a value as `kind` makes it, or the default where it cannot."""
    if kind is None:
        return value
    try:
        return kind(value)
    except (ValueError, TypeError):
        return default


def titled(name: str) -> str:
    """Spell a header's name as WSGI does.

    >>> titled("x-ms-request-id")
    'X-Ms-Request-Id'
    """
    return name.title()


class HeaderDict(dict):  # type: ignore[type-arg] # texts
    """A request's headers, spelt as WSGI does, and found whatever their case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Take them by any spelling."""
        super().__init__((titled(name), value) for name, value in headers.items())

    def __missing__(self, name: str) -> str:
        """Find a header that is spelt otherwise."""
        key = titled(name)
        if key == name or not super().__contains__(key):
            raise KeyError(name)
        return str(self[key])

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        return super().get(titled(name), default)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a header."""
        return isinstance(name, str) and super().__contains__(titled(name))


class Headers:
    """Headers in their order. Names are alike whatever their case; iterated over, they are pairs."""

    def __init__(self, pairs: Any = ()) -> None:
        """Take pairs, or a mapping."""
        self._list: list[tuple[str, str]] = []
        self.extend(pairs)

    def __getitem__(self, name: str) -> str:
        """Return the first value; raise KeyError where there is none."""
        found = self.getlist(name)
        if not found:
            raise KeyError(name)
        return found[0]

    def __setitem__(self, name: str, value: Any) -> None:
        """Put a value in the place of all others."""
        key = name.lower()
        at = next((i for i, (one, _) in enumerate(self._list) if one.lower() == key), len(self._list))
        kept = [pair for pair in self._list[at:] if pair[0].lower() != key]
        self._list[at:] = [(name, str(value)), *kept]

    def __delitem__(self, name: str) -> None:
        """Remove all values, if there are any."""
        self._list = [pair for pair in self._list if pair[0].lower() != name.lower()]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a value."""
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Give the pairs, as Werkzeug's headers do."""
        return iter(self._list)

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self._list)

    def __str__(self) -> str:
        """Print them as HTTP has them."""
        return "\r\n".join([*(f"{name}: {value}" for name, value in self._list), "\r\n"])

    def __repr__(self) -> str:
        """Print the pairs."""
        return f"Headers({self._list!r})"

    def get(self, name: str, default: Any = None, type: Any = None) -> Any:  # noqa: A002 - Werkzeug's word
        """Return the first value, or the default."""
        found = self.getlist(name)
        return _typed(found[0], default, type) if found else default

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [value for one, value in self._list if one.lower() == name.lower()]

    get_all = getlist

    def keys(self) -> Iterator[str]:
        """Give the names."""
        return (name for name, _ in self._list)

    def values(self) -> Iterator[str]:
        """Give the values."""
        return (value for _, value in self._list)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give the pairs."""
        return iter(self._list)

    def add(self, name: str, value: Any) -> None:
        """Put a value beside others of its name."""
        self._list.append((name, str(value)))

    add_header = add

    def set(self, name: str, value: Any) -> None:
        """Put a value in the place of all others."""
        self[name] = value

    def setdefault(self, name: str, default: Any = None) -> str:
        """Return the first value, which is the default where there was none."""
        if name not in self:
            self.add(name, default)
        return self[name]

    def remove(self, name: str) -> None:
        """Remove all values."""
        del self[name]

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove all values; return the first."""
        found = self.get(name, default)
        del self[name]
        return found

    def extend(self, pairs: Any) -> None:
        """Add pairs."""
        for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            self.add(name, value)

    update = extend

    def to_wsgi_list(self) -> list[tuple[str, str]]:
        """Return the pairs."""
        return list(self._list)


class MultiDict(dict):  # type: ignore[type-arg] # names and values of any kind
    """The first value by name; `getlist` has all of them."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        """Take pairs."""
        self._lists: dict[str, list[Any]] = {}
        for name, value in pairs:
            self._lists.setdefault(name, []).append(value)
        super().__init__((name, values[0]) for name, values in self._lists.items())

    def get(self, name: str, default: Any = None, type: Any = None) -> Any:  # noqa: A002 - Werkzeug's word
        """Return the first value, or the default."""
        return _typed(self[name], default, type) if name in self else default

    def getlist(self, name: str, type: Any = None) -> list[Any]:  # noqa: A002 - as above
        """Return all values of a name; those that `type` cannot make are left out."""
        missing = object()
        found = [_typed(one, missing, type) for one in self._lists.get(name, ())]
        return [one for one in found if one is not missing]

    def lists(self) -> Iterator[tuple[str, list[Any]]]:
        """Give each name with all of its values."""
        return ((name, list(values)) for name, values in self._lists.items())

    def to_dict(self, flat: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Werkzeug's own
        """Return a plain dictionary: of first values, or of lists."""
        return dict(self) if flat else dict(self.lists())


class FileStorage:
    """A file of a form; it can be read as any open file can."""

    def __init__(self, name: str, filename: str, content_type: str, data: bytes) -> None:
        """Take what the form says of it."""
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.mimetype = content_type.partition(";")[0].strip().lower()
        self.content_length = 0  # what Werkzeug has where a part does not say it
        self.headers = Headers({"Content-Type": content_type})
        self.stream = io.BytesIO(data)

    def save(self, place: Any, buffer_size: int = 16384) -> None:
        """Write it to a path or an open file."""
        del buffer_size
        data = self.stream.read()
        if isinstance(place, (str, os.PathLike)):
            with open(place, "wb") as stream:  # noqa: PTH123 - pathlib costs 3 ms
                stream.write(data)
        else:
            place.write(data)

    def close(self) -> None:
        """Close it."""
        self.stream.close()

    def __getattr__(self, name: str) -> Any:
        """Be an open file."""
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[bytes]:
        """Give its lines."""
        return iter(self.stream)

    def __bool__(self) -> bool:
        """Tell whether a file was chosen."""
        return bool(self.filename)
