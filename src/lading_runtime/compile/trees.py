"""Decision trees in, statements that walk them and add up their leaves out.

Shallow trees become nested `if`s, which is fastest; deep ones flat lists, for Python reads no more than a
hundred levels of indentation. Trees are added in their order: another order would round otherwise.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from lading_runtime.compile.notes import NotCompiled, Points, Source, literal

MAX_NODES = 2_000_000
_MAX_NESTED_DEPTH = 32
_MAX_NESTED_NODES = 60_000
_CHUNK_NODES = 4_000
SINGLE_MAX = 1e38
"""What sums in single precision may come to, so that none of them is infinite."""


class Tree(NamedTuple):
    """A binary tree: `left` is taken where the cell is at most the threshold."""

    feature: Sequence[int]
    """Of each node, -1 where it is a leaf."""
    threshold: Sequence[float]
    left: Sequence[int]
    right: Sequence[int]
    missing_left: Sequence[bool]
    """Whether NaN goes left."""
    values: Sequence[Sequence[float]]
    """What each leaf adds, one number per target; anything for other nodes."""
    targets: Sequence[str]
    """The variables that it is added to."""
    members: Sequence[Sequence[float] | None] | None = None
    """The categories that go left, for nodes that ask for some instead of a threshold."""
    single: bool = False
    """Whether its one target is rounded to single precision when its leaf has been added."""


def depth(tree: Tree) -> int:
    """Return how many questions lead to the deepest leaf."""
    deepest, stack = 0, [(0, 0)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        if tree.feature[node] >= 0:
            stack += [(tree.left[node], level + 1), (tree.right[node], level + 1)]
    return deepest


def emit(source: Source, trees: Sequence[Tree], cells: Sequence[str], *, has_nan: str | None) -> None:
    """Write statements that add every tree's leaf to its targets.

    `has_nan` is an expression that is true when a cell may be NaN, None where none ever is.
    """
    nodes = sum(len(tree.feature) for tree in trees)
    if nodes > MAX_NODES:
        raise NotCompiled(f"{nodes} nodes, more than {MAX_NODES}")
    if source.graph is not None:
        source.graph.add_trees(source, trees, cells)
        return
    nested = nodes <= _MAX_NESTED_NODES and all(depth(tree) <= _MAX_NESTED_DEPTH for tree in trees)
    if nested and nodes <= _CHUNK_NODES:
        for tree in trees:
            _nest(source.body, tree, cells)
    elif nested:
        _emit_chunks(source, trees, cells)
    elif any(tree.members for tree in trees):
        raise NotCompiled("trees too deep for their categories")
    else:
        _emit_flat(source, trees, cells, has_nan)


def note_points(trees: Sequence[Tree], points: Points, columns: Sequence[int | None]) -> None:
    """Tell the proof of every threshold; `columns` are those of the model's input."""
    for tree in trees:
        for node, feature in enumerate(tree.feature):
            column = columns[feature] if feature >= 0 else None
            if column is not None:
                members = tree.members[node] if tree.members else None
                points.add(column, [tree.threshold[node]] if members is None else members)


def _emit_chunks(source: Source, trees: Sequence[Tree], cells: Sequence[str]) -> None:
    """Write several functions, for one function of everything takes Python long to read."""
    chunk: list[Tree] = []
    for tree in [*trees, None]:
        full = tree is None or sum(len(one.feature) for one in chunk) + len(tree.feature) > _CHUNK_NODES
        if chunk and full:
            _emit_function(source, chunk, cells)
            chunk = []
        if tree is not None:
            chunk.append(tree)


def _emit_function(source: Source, trees: Sequence[Tree], cells: Sequence[str]) -> None:
    used = sorted({feature for tree in trees for feature in tree.feature if feature >= 0})
    sums = sorted({target.partition("[")[0] for tree in trees for target in tree.targets})
    name = source.name("trees")
    lines: list[str] = []
    for tree in trees:
        _nest(lines, tree, cells)
    arguments = ", ".join([*sums, *dict.fromkeys(cells[feature] for feature in used)])
    source.module += [
        f"def {name}({arguments}):",
        *(" " + line for line in lines),
        f" return {', '.join(sums)}",
    ]
    source.body.append(f"{', '.join(sums)} = {name}({arguments})")


def _nest(lines: list[str], tree: Tree, cells: Sequence[str]) -> None:
    """Write one tree as nested ifs, without recursion."""
    stack: list[tuple[int, str, str]] = [(0, "", "")]
    while stack:
        node, indent, before = stack.pop()
        if before:
            lines.append(indent[:-1] + before)
        feature = tree.feature[node]
        if feature < 0:
            added = [
                f"{indent}{'t' if tree.single else target} {'' if tree.single else '+'}= {literal(value)}"
                for target, value in zip(tree.targets, tree.values[node])  # noqa: B905 - Python 3.8
                if value != 0.0 or tree.single
            ]
            lines += added or ([indent + "pass"] if indent else [])
            continue
        members = tree.members[node] if tree.members else None
        inner = indent + " "
        if members is not None:
            first, second = tree.left[node], tree.right[node]
            question = f"{cells[feature]} in {{{', '.join(map(literal, members))},}}"
        elif tree.missing_left[node]:  # NaN is not greater than anything
            first, second = tree.right[node], tree.left[node]
            question = f"{cells[feature]} > {literal(tree.threshold[node])}"
        else:
            first, second = tree.left[node], tree.right[node]
            question = f"{cells[feature]} <= {literal(tree.threshold[node])}"
        stack += [(second, inner, "else:"), (first, inner, f"if {question}:")]
    if tree.single:
        lines.append(_add_single(tree.targets[0], "t"))


def _add_single(target: str, value: str) -> str:
    """Write an addition that is rounded to single precision, by Veltkamp's splitting.

    2**29 + 1 leaves 24 bits, and rounds ties to even, for those have 25. What is below the normal numbers is
    exact already.
    """
    return f"{target} = (p := ({target} := {target} + {value}) * 536870913.0) - (p - {target})"


def _emit_flat(source: Source, trees: Sequence[Tree], cells: Sequence[str], has_nan: str | None) -> None:
    features, lefts, rights = array("i"), array("i"), array("i")
    thresholds = array("d")
    missing = bytearray()
    leaves: dict[tuple[float, ...], int] = {}
    roots = []
    for tree in trees:
        base = len(features)
        roots.append((tuple(tree.targets), base, tree.single))
        for node, feature in enumerate(tree.feature):
            features.append(feature)
            thresholds.append(tree.threshold[node] if feature >= 0 else 0.0)
            leaf = feature < 0
            # a leaf's `left` is the place of its values
            values = tuple(tree.values[node]) if leaf else ()
            lefts.append(leaves.setdefault(values, len(leaves)) if leaf else base + tree.left[node])
            rights.append(0 if leaf else base + tree.right[node])
            missing.append(bool(tree.missing_left[node]))
    names = {
        "F": _packed(source, features),
        "T": _packed(source, thresholds),
        "L": _packed(source, lefts),
        "R": _packed(source, rights),
        "M": source.constant(repr(bytes(missing))) if has_nan and any(missing) else "",
        "V": source.constant("[" + ", ".join(repr(tuple(map(_Literal, one))) for one in leaves) + "]"),
    }
    walked = _Walked(source.let(f"({', '.join(cells)},)", "row"), names, roots)
    if names["M"]:
        source.body.append(f"if {has_nan}:")
        _walks(source, walked, " ", missing=True)
        source.body.append("else:")
        _walks(source, walked, " ")
    else:
        _walks(source, walked)


class _Walked(NamedTuple):
    """What flat lists are called, and where in them trees begin."""

    row: str
    names: Mapping[str, str]
    roots: Sequence[tuple[tuple[str, ...], int, bool]]
    """Each tree's targets and first node, and whether they are of single precision."""


def _walks(source: Source, walked: _Walked, indent: str = "", *, missing: bool = False) -> None:
    """Write a loop over trees for each run of trees that add to the same targets."""
    names, row = walked.names, walked.row
    for (targets, single), run in groupby(walked.roots, key=lambda one: (one[0], one[2])):
        starts = tuple(root for _, root, _ in run)
        where = source.constant(repr(starts)) if len(starts) > 1 else repr(starts)
        step = f"{names['L']}[n] if {row}[f] <= {names['T']}[n] else {names['R']}[n]"
        if missing:
            way = f"{names['L']}[n] if {names['M']}[n] else {names['R']}[n]"
            step = f"({way}) if {row}[f] != {row}[f] else {step}"
        lines = [f"for n in {where}:", f" while (f := {names['F']}[n]) >= 0:", f"  n = {step}"]
        values = f"{names['V']}[{names['L']}[n]]"
        if single:
            lines.append(" " + _add_single(targets[0], f"{values}[0]"))
        elif len(targets) == 1:
            lines.append(f" {targets[0]} += {values}[0]")
        else:
            lines.append(f" p = {values}")
            lines += [f" {target} += p[{index}]" for index, target in enumerate(targets)]
        source.body += [indent + line for line in lines]


class _Literal(float):
    """A number that prints as Python reads it."""

    def __repr__(self) -> str:
        return literal(float(self))


def _packed(source: Source, numbers: array[int] | array[float]) -> str:
    """Make a constant list, held in the byte code as bytes: they are read far faster than numbers."""
    return source.constant(f"array({numbers.typecode!r}, {numbers.tobytes()!r}).tolist()", "N")


def below_single(value: float) -> float:
    """Return the largest number of single precision below a number that is one."""
    if value == float("-inf"):
        return value
    (bits,) = struct.unpack("<i", struct.pack("<f", value))
    if bits in {0, -(1 << 31)}:
        bits = -(1 << 31) + 1
    else:
        bits += 1 if bits < 0 else -1
    result: float = struct.unpack("<f", struct.pack("<i", bits))[0]
    return result
