"""A type hint in, the Kind that reads it out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import collections.abc
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

from lading_runtime.typed import libraries, media, nested, plain
from lading_runtime.typed.nested import Member
from lading_runtime.typed.plain import Kind
from lading_runtime.worker import results

_LISTS: Mapping[Any, Callable[[list[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_UNIONS = ("typing.Union", "types.UnionType")
_FILES: Mapping[str, Callable[..., Any]] = {
    **{f"pathlib.{name}": media.path for name in ("Path", "PosixPath", "PurePath")},
    **{f"pathlib._local.{name}": media.path for name in ("Path", "PosixPath", "PurePath")},
    "os.PathLike": media.path,
    "typing.BinaryIO": media.binary,
    "typing.IO": media.binary,
    "io.BytesIO": media.memory,
    "_io.BytesIO": media.memory,
    "typing.TextIO": media.text,
}


class Hints:
    """Reads hints; remembers each, for a class may name itself, and collects definitions of named schemas."""

    def __init__(self) -> None:
        """Begin with no definitions."""
        self.definitions: dict[str, Any] = {}
        self._known: dict[Any, Kind] = {}

    def kind(self, hint: Any) -> Kind:
        """Return what reads a hint; raise TypeError for one that no JSON value can become."""
        try:
            if hint in self._known:
                return self._known[hint]
        except TypeError:  # not hashable, such as Literal of a list
            return self._make(hint)
        made = self._make(hint)
        self._known[hint] = made
        return made

    def _make(self, hint: Any) -> Kind:  # noqa: PLR0911 - a line per form
        simple = None if _is_strange(hint) else plain.SIMPLE.get(hint)
        if simple is not None:
            return simple()
        if isinstance(hint, typing.TypeVar):
            return self.kind(hint.__bound__ or Any)
        name = qualified(hint)
        if name in plain.BY_NAME:
            return plain.BY_NAME[name]()
        if hasattr(hint, "__supertype__"):  # NewType
            return self.kind(hint.__supertype__)
        if hasattr(hint, "__value__") and "TypeAliasType" in type(hint).__name__:
            return self.kind(hint.__value__)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hasattr(hint, "__metadata__"):
            return self._annotated(hint)
        if origin is not None:
            return self._generic(hint, origin, arguments)
        return self._class(hint, name)

    def _annotated(self, hint: Any) -> Kind:
        """Read `Annotated`: pydantic knows its constraints; without pydantic they are for people."""
        inner = self.kind(hint.__origin__)
        is_plain = not isinstance(inner, (media.Picture, media.File, libraries.Array, libraries.Frame))
        has_rules = any(not isinstance(one, str) for one in hint.__metadata__)
        if "pydantic" in sys.modules and is_plain and has_rules:
            return libraries.Validated(hint, self.definitions)
        return inner

    def _generic(self, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Kind:  # noqa: C901, PLR0911 - as above
        name = qualified(origin)
        if name in _UNIONS:
            return nested.Union([self.kind(one) for one in arguments])
        if origin is typing.Literal or name.endswith(".Literal"):
            return plain.Choice([(getattr(one, "value", one), one) for one in arguments])
        if name.endswith((".Required", ".NotRequired", ".ReadOnly", ".Final")):
            return self.kind(arguments[0])
        if name.endswith(".Annotated"):
            return self.kind(arguments[0])
        if origin is tuple:
            if not arguments and hint is typing.Tuple:  # noqa: UP006 - it is what users write
                return nested.Many(plain.Anything(), tuple)
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return nested.Many(self.kind(arguments[0]), tuple)
            return nested.Fixed([self.kind(one) for one in arguments if one != ()])
        if origin in _LISTS:
            return nested.Many(self.kind(arguments[0] if arguments else Any), _LISTS[origin])
        if origin in _DICTS:
            key, value = arguments if len(arguments) == 2 else (str, Any)
            keys = None if key in {str, Any} or isinstance(key, typing.TypeVar) else self.kind(key)
            return nested.Lookup(keys, self.kind(value))
        if name == "numpy.ndarray":
            return libraries.Array(_dtype(arguments))
        if name in _FILES:
            return media.File(media.text if arguments == (str,) else _FILES[name])
        if isinstance(hint, type) or not _has_members(origin):
            return self._class(hint, name)
        return self._record(origin, hint, dict(zip(origin.__parameters__, arguments)))  # noqa: B905 - one each

    def _class(self, hint: Any, name: str) -> Kind:  # noqa: PLR0911 - as above
        if not isinstance(hint, type):
            if name in _FILES:
                return media.File(_FILES[name])
            return self._foreign(hint, str(hint))
        if name == "numpy.ndarray":
            return libraries.Array()
        if name.startswith("pandas.") and hint.__name__ in {"DataFrame", "Series"}:
            return libraries.Frame() if hint.__name__ == "DataFrame" else libraries.Series()
        if any(qualified(one) == "PIL.Image.Image" for one in hint.__mro__):
            return media.Picture()
        if name in _FILES:
            return media.File(_FILES[name])
        if name.startswith("cog.types."):
            return self._cogs(hint)
        if any(qualified(one) == "pydantic.main.BaseModel" for one in hint.__mro__):
            return libraries.Validated(hint, self.definitions)
        if any(one.__module__ == "enum" and one.__name__ == "Enum" for one in hint.__mro__):
            return plain.enum(hint)
        return self._bare(hint)

    def _cogs(self, hint: Any) -> Kind:
        """Read one of Cog's own: a path, an open file, or a secret, which is given as a text."""
        if hint.__name__ == "Secret":
            schema = {"type": "string", "format": "password", "writeOnly": True}
            return plain.Parsed(schema, "a text", lambda value: hint(plain.text_of(value)))
        return media.File(media.binary if hint.__name__ == "File" else lambda *one: hint(media.path(*one)))

    def _bare(self, hint: Any) -> Kind:
        if _has_members(hint):
            return self._record(hint, hint, {})
        if hint in _LISTS:
            return nested.Many(plain.Anything(), _LISTS[hint])
        if hint is tuple:
            return nested.Many(plain.Anything(), tuple)
        if hint in _DICTS:
            return nested.Lookup(None, plain.Anything())
        if "numpy" in sys.modules and issubclass(hint, sys.modules["numpy"].generic):
            return self._scalar(hint)
        return self._foreign(hint, hint.__qualname__)

    def _foreign(self, hint: Any, name: str) -> Kind:
        """Read what pydantic alone may know; raise TypeError where it does not, or is not there."""
        message = f"a parameter of type {name!r} cannot be read from a request"
        if "pydantic" not in sys.modules:
            raise TypeError(message)
        import pydantic

        broken = getattr(pydantic.errors, "PydanticUserError", AttributeError)  # 1 has none
        try:
            made = libraries.Validated(hint, self.definitions)
        except (broken, AttributeError) as error:
            raise TypeError(message) from error
        if not made.schema:  # such as a function
            raise TypeError(message)
        return made

    def _scalar(self, hint: Any) -> Kind:
        """Read one of numpy's numbers."""
        numpy: Any = sys.modules["numpy"]
        kind, schema = "a number", {"type": "number"}
        if issubclass(hint, numpy.integer):
            kind, schema = "a whole number", {"type": "integer"}
        if issubclass(hint, numpy.bool_):
            kind, schema = "true or false", {"type": "boolean"}

        def read(value: Any) -> Any:
            if isinstance(value, bool) != issubclass(hint, numpy.bool_) or not isinstance(
                value, (int, float)
            ):
                raise TypeError
            made = hint(value)
            if schema["type"] != "number" and made != value:
                raise ValueError
            return made

        return plain.Parsed(schema, f"{kind} ({hint.__name__})", read)

    def _record(self, hint: Any, named: Any, meant: Mapping[Any, Any]) -> Kind:
        """Read a class with members; `named` is what a hint says, and `meant` what its type variables are."""
        name = hint.__name__ + "".join(f"_{getattr(one, '__name__', one)}" for one in meant.values())
        record = nested.Record("".join(c if c.isalnum() else "_" for c in name), hint)
        self._known[named] = record
        types = {key: _substituted(one, meant) for key, one in resolved(hint).items()}
        if hasattr(hint, "__dataclass_fields__"):
            record.members = [
                Member(one.name, self.kind(types.get(one.name, Any)), *_default(one))
                for one in hint.__dataclass_fields__.values()
                if one.init and not _is_class_variable(types.get(one.name))
            ]
        elif hasattr(hint, "_fields"):
            defaults = getattr(hint, "_field_defaults", {})
            record.members = [
                Member(name, self.kind(types.get(name, Any)), name not in defaults, defaults.get(name))
                for name in hint._fields
            ]
        else:
            required = getattr(hint, "__required_keys__", set(types) if hint.__total__ else set())
            record.members = [
                Member(name, self.kind(one), _is_required(one, name in required), nested.ABSENT)
                for name, one in types.items()
            ]
        self.definitions[record.schema["$ref"].rpartition("/")[2]] = {
            "title": name,
            **nested.schema_of(record.members, results.plain_json),
        }
        return record


def _has_members(hint: Any) -> bool:
    return any(hasattr(hint, name) for name in ("__dataclass_fields__", "__total__", "_fields"))


def _substituted(hint: Any, meant: Mapping[Any, Any]) -> Any:
    """Put types in the place of a generic class's variables."""
    if isinstance(hint, typing.TypeVar):
        return meant.get(hint, hint)
    open_ones = getattr(hint, "__parameters__", ()) if meant and not isinstance(hint, type) else ()
    return hint[tuple(meant.get(one, Any) for one in open_ones)] if open_ones else hint


def resolved(owner: Any) -> dict[str, Any]:
    """Return the hints of a function or class; those that are text are evaluated, or it is a TypeError."""
    more: dict[str, Any] = {"include_extras": True} if hasattr(typing, "Annotated") else {}
    try:
        return typing.get_type_hints(owner, **more)
    except NameError as error:
        raise TypeError(f"{getattr(owner, '__qualname__', owner)}: a type hint names {error}") from error


def qualified(hint: Any) -> str:
    """Return a class's or a special form's full name."""
    name = (
        getattr(hint, "__qualname__", None) or getattr(hint, "_name", None) or getattr(hint, "__name__", "")
    )
    return f"{getattr(hint, '__module__', '')}.{name}"


def _is_strange(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return True
    return False


def _is_class_variable(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.ClassVar or hint is typing.ClassVar


def _default(one: Any) -> tuple[bool, Any]:
    """Tell whether a dataclass's field has to be given, and what it is otherwise."""
    missing = sys.modules["dataclasses"].MISSING
    if one.default is not missing:
        return False, one.default
    if one.default_factory is not missing:
        return False, one.default_factory()
    return True, None


def _is_required(hint: Any, by_default: bool) -> bool:  # noqa: FBT001 - of this file alone
    """Tell whether a key has to be there: what its own hint says, which `__required_keys__` may miss."""
    name = qualified(typing.get_origin(hint) or hint)
    if name.endswith((".Required", ".NotRequired")):
        return name.endswith(".Required")
    is_wrapped = name.endswith((".ReadOnly", ".Annotated")) and typing.get_args(hint)
    return _is_required(typing.get_args(hint)[0], by_default) if is_wrapped else by_default


def _dtype(arguments: tuple[Any, ...]) -> Any:
    """Return the scalar type that `NDArray[np.float32]` names."""
    inner = typing.get_args(arguments[1]) if len(arguments) == 2 else ()
    found = inner[0] if inner else None
    numpy: Any = sys.modules["numpy"]
    is_concrete = isinstance(found, type) and found.__module__ == "numpy" and found != numpy.generic
    try:
        return numpy.dtype(found) if is_concrete else None
    except TypeError:  # np.floating and the like
        return None
