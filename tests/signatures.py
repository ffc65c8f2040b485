"""Signatures of any kind, for laws."""

from hypothesis import strategies as st

from lading.core.signature import SCALARS, Field, Signature

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=6)
DTYPES = ("bool", "int8", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64", "str")
OTHER_DTYPES = ("bytes", "object", "datetime64[ns]", "complex64")


def _objects(inner):
    """Objects as MLflow writes them: by name, each property with what it is, and no vector among them."""
    inner = inner.filter(lambda one: one["type"] != "sparkml_vector")
    one = st.builds(lambda typed, required: {**typed, "required": required}, inner, st.booleans())
    made = st.dictionaries(names, one, min_size=1, max_size=3)
    return made.map(lambda found: {"type": "object", "properties": dict(sorted(found.items()))})


_scalars = st.sampled_from(SCALARS).map(lambda kind: {"type": kind})
_bare = _scalars | st.sampled_from([{"type": "any"}, {"type": "sparkml_vector"}])
types = st.recursive(
    _bare,
    lambda inner: (
        inner.map(lambda one: {"type": "array", "items": one})
        | inner.map(lambda one: {"type": "map", "values": one})
        | _objects(inner)
    ),
    max_leaves=5,
)


def field(typed, name, *, required):
    nested = {key: value for key, value in typed.items() if key != "type"}
    return Field(typed["type"], name, required=required, nested=nested)


@st.composite
def columns(draw, *, least=1):
    found = draw(st.lists(types, min_size=least, max_size=4))
    if draw(st.booleans()):
        return tuple(field(one, None, required=True) for one in found)
    called = draw(st.lists(names, min_size=len(found), max_size=len(found), unique=True))
    return tuple(
        field(one, name, required=draw(st.booleans())) for one, name in zip(found, called, strict=True)
    )


shapes = st.lists(st.integers(-1, 9), max_size=3).map(tuple)


@st.composite
def tensors(draw):
    count = draw(st.integers(1, 3))
    called = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    dtypes = st.sampled_from(DTYPES + OTHER_DTYPES)
    if count == 1 and draw(st.booleans()):
        called = [None]
    required = st.booleans() if called != [None] else st.just(value=True)
    return tuple(Field("tensor", name, draw(required), draw(dtypes), draw(shapes)) for name in called)


DEFAULTS = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
    "datetime": st.dates().map(str) | st.datetimes().map(lambda one: one.isoformat()),
}


@st.composite
def params(draw):
    found = []
    for name in draw(st.lists(names, max_size=3, unique=True)):
        kind = draw(st.sampled_from(sorted(DEFAULTS)))
        if draw(st.booleans()):
            default = draw(st.none() | DEFAULTS[kind])
            found.append(Field(kind, name, default=default))
        else:
            found.append(Field(kind, name, shape=(-1,), default=draw(st.lists(DEFAULTS[kind], max_size=2))))
    if draw(st.booleans()) and not any(one.name == "of object" for one in found):
        nested = {"properties": {"a": {"type": "long", "required": True}}}
        found.append(Field("object", "of object", nested=nested, default={"a": draw(st.integers(0, 9))}))
    return tuple(found)


parts = columns() | tensors()
signatures = st.builds(Signature, st.just(()) | parts, st.just(()) | parts, params())
