"""Two signatures in; what a request that was right before meets now, out.

The rules are those by which the native server checks requests: named columns that it does not know are passed
over, a value is cast where nothing of it is lost, parameters that it does not know are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lading.core.signature import Field, Signature

Notice = Literal["no", "maybe", "yes"]
ORDER: tuple[Notice, ...] = ("no", "maybe", "yes")

# MLflow's and numpy's names of numbers: kind and bits
_NUMBERS = {
    "integer": ("int", 32),
    "long": ("int", 64),
    "float": ("float", 32),
    "double": ("float", 64),
    **{f"int{bits}": ("int", bits) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": ("uint", bits) for bits in (8, 16, 32, 64)},
    **{f"float{bits}": ("float", bits) for bits in (16, 32, 64)},
}
_EXACT_BITS = {16: 11, 32: 24, 64: 53}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that one package has otherwise than the other; None where one has it not.

    `before` and `after` are JSON values; `why` says what follows for a client.
    """

    part: str
    name: str
    before: Any
    after: Any
    notice: Notice
    why: str


def compare(before: Signature | None, after: Signature | None) -> Iterator[Change]:
    """Compare field by field."""
    if before is None or after is None:
        if before is not after:
            now = "checked from now on" if before is None else "no longer checked"
            was, became = (one and one.to_json() for one in (before, after))
            yield Change("signature", "signature", was, became, "maybe", f"requests are {now}")
        return
    yield from _inputs(before.inputs, after.inputs)
    yield from _outputs(before.outputs, after.outputs)
    yield from _params(_named(before.params), _named(after.params))


def _named(fields: Sequence[Field]) -> dict[str, Field]:
    """Key fields by their names, those without one by their places."""
    return {one.name if one.name is not None else str(place): one for place, one in enumerate(fields)}


def _change(
    part: str, name: str, pair: tuple[Field | None, Field | None], notice: Notice, why: str
) -> Change:
    is_param = part == "parameter"
    old, new = (one and one.to_json(param=is_param) for one in pair)
    return Change(part, name, old, new, notice, why)


def _inputs(before: Sequence[Field], after: Sequence[Field]) -> Iterator[Change]:
    old, new = _named(before), _named(after)
    if not (before and after):
        if before or after:
            now = "checked from now on" if after else "no longer checked"
            yield Change("input", "inputs", len(before), len(after), "maybe", f"requests are {now}")
        return
    if (before[0].type == "tensor") != (after[0].type == "tensor"):
        old_kind, kind = ("tensors" if one[0].type == "tensor" else "columns" for one in (before, after))
        yield Change("input", "inputs", old_kind, kind, "yes", "requests have another form")
        return
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _input(name, old.get(name), new.get(name))
    both = [name for name in old if name in new]
    if both != [name for name in new if name in old]:
        yield Change(
            "input", "order", list(old), list(new), "yes", "rows without names are read in another order"
        )


def _input(name: str, old: Field | None, new: Field | None) -> Iterator[Change]:
    if old == new:
        return
    notice: Notice
    if new is None:
        notice, why = "yes", "it is no longer taken, and rows without names have a cell too many"
    elif old is None and new.required:
        notice, why = "yes", "a request without it is refused"
    elif old is None:
        notice, why = "maybe", "rows without names lack a cell"
    else:
        notice, why = _worst(old, new)
    yield _change("input", name, (old, new), notice, why)


def _worst(old: Field, new: Field) -> tuple[Notice, str]:
    """Tell what becomes of the values that a field took before."""
    if new.required and not old.required:
        return "yes", "a request without it is refused"
    notice = taken(new.to_json(), old.to_json())
    if old.type == new.type == "tensor" and notice == "no" and not _fits(new.shape or (), old.shape or ()):
        return "yes", "it takes another shape"
    if notice == "no":
        return "no", "it takes all that it took"
    return notice, "it takes other values" if notice == "yes" else "it may refuse large whole numbers"


def taken(new: Mapping[str, Any], old: Mapping[str, Any]) -> Notice:
    """Tell whether a client whose values fit the old type (MLflow's object) notices the new one."""
    if old == new or new.get("type") == "any":
        return "no"
    if old.get("type") != new.get("type") or "tensor-spec" in new:
        return _number_taken(_dtype(new), _dtype(old))
    inner = [(new[key], old[key]) for key in ("items", "values") if key in new and key in old]
    if "properties" in new and "properties" in old:
        mine, theirs = new["properties"], old["properties"]
        lost = set(theirs) - set(mine)  # unknown properties are refused
        asked = any(
            mine[name].get("required", True)
            and not theirs.get(name, {"required": False}).get("required", True)
            for name in mine
        )
        if lost or asked:
            return "yes"
        inner += [(mine[name], theirs[name]) for name in theirs]
    return max((taken(*pair) for pair in inner), key=ORDER.index, default="no")


def _dtype(entry: Mapping[str, Any]) -> str:
    return str((entry.get("tensor-spec") or {}).get("dtype") or entry.get("type"))


def _number_taken(new: str, old: str) -> Notice:
    """Tell whether every number of one type is one of another; whole numbers lose precision as floats."""
    if new == old:
        return "no"
    if new not in _NUMBERS or old not in _NUMBERS:
        return "yes"
    (kind, bits), (old_kind, old_bits) = _NUMBERS[new], _NUMBERS[old]
    if kind == old_kind:
        return "no" if bits >= old_bits else "yes"
    if kind == "float":
        return "no" if old_bits <= _EXACT_BITS[bits] else "maybe"
    return "no" if (kind, old_kind) == ("int", "uint") and bits > old_bits else "yes"


def _fits(new: Sequence[int], old: Sequence[int]) -> bool:
    return len(new) == len(old) and all(one in {-1, other} for one, other in zip(new, old, strict=True))


def _outputs(before: Sequence[Field], after: Sequence[Field]) -> Iterator[Change]:
    old, new = _named(before), _named(after)
    for name in [*old, *(name for name in new if name not in old)]:
        pair = (old.get(name), new.get(name))
        if pair[0] == pair[1]:
            continue
        if not (before and after):
            now = "says now" if after else "no longer says"
            yield _change("output", name, pair, "maybe", f"the signature {now} what answers look like")
        else:
            yield _change("output", name, pair, "yes", "answers have another form")
    if set(old) == set(new) and list(old) != list(new):
        yield Change("output", "order", list(old), list(new), "yes", "answers have their columns elsewhere")


def _params(old: Mapping[str, Field], new: Mapping[str, Field]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        was, now = old.get(name), new.get(name)
        notice: Notice
        if was == now:
            continue
        if now is None:
            notice, why = "yes", "it is passed over now"
        elif was is None:
            notice, why = "no", "requests need not send it"
        else:
            notice = max(taken(now.to_json(), was.to_json()), _shape_taken(now, was), key=ORDER.index)
            why = "it takes other values" if notice != "no" else "it takes all that it took"
            if notice == "no" and was.default != now.default:
                notice, why = "maybe", "requests that do not send it mean another value"
        yield _change("parameter", name, (was, now), notice, why)


def _shape_taken(new: Field, old: Field) -> Notice:
    """A parameter's shape is None, or (-1,): a list."""
    return "no" if new.shape == old.shape else "yes"
