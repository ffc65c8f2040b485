"""States that are read as more than attributes: a class and its state in, what speaks against them out.

statsmodels evaluates the formula of a model as Python when its data are loaded and when it predicts; SciPy's
distributions compile a text of their state. Both are let pass where the text is one of the known harmless.
"""

from __future__ import annotations

import ast
import re

from lading.model.symbols import Global, Instance, Symbol

_ROOT = "statsmodels."
_DATA = "statsmodels.base.data"
_RESTORED = ("restore_model_spec", "restore_design_info")
_SPECS = ("model_spec", "design_info")
"""What predicting takes a formula from; statsmodels itself never saves it."""
_BUNCH = ("statsmodels.tools.tools", "Bunch")
_NAMED_ITEMS = {_BUNCH, ("scipy.optimize._optimize", "OptimizeResult")}
"""Classes whose items are attributes, and would be methods."""
_BY_NAME = {*_NAMED_ITEMS, ("types", "SimpleNamespace")}
_FRAMES = {("pandas.core.frame", "DataFrame"), ("pandas.core.series", "Series")}
_DISTRIBUTIONS = "scipy.stats._continuous_distns"
_SHAPES = re.compile(r"def _parse_args\(self, ((?:[a-zA-Z]\w*, )*)loc=0,", re.ASCII)
_CODES = frozenset(
    (
        "C",
        "I",
        "Q",
        "Treatment",
        "Sum",
        "Poly",
        "Diff",
        "Helmert",
        "bs",
        "cr",
        "cc",
        "te",
        "center",
        "standardize",
        "scale",
    )
)
"""Functions that a formula knows by itself."""
_FUNCTIONS = frozenset(
    (
        "abs",
        "cbrt",
        "cos",
        "exp",
        "expm1",
        "log",
        "log10",
        "log1p",
        "log2",
        "power",
        "sign",
        "sin",
        "sqrt",
        "square",
        "tan",
        "tanh",
    )
)
"""Functions of numpy's."""
_NODES = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.keyword),
    *(ast.Load, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.BitXor, ast.UAdd, ast.USub),
)
_LONGEST_FORMULA = 10_000


def objection(target: Symbol, state: Symbol) -> str | None:
    """Say why an instance may not have a state, None where it may."""
    if not isinstance(target, Instance):
        return None
    where = target.factory
    if target.arguments and _named(where) in _BY_NAME:
        return "attributes that are computed while loading"
    for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if isinstance(part, dict) and (why := _of_attributes(where, part)):
            return why
    if where.module == _DATA:
        return _of_data(state)
    if where.module == _DISTRIBUTIONS:
        return _of_distribution(target, state)
    return None


def is_itself(target: Symbol, state: Symbol) -> bool:
    """Tell whether a Bunch gets itself as its state, which is how it has its items as attributes."""
    return isinstance(target, Instance) and target is state and _named(target.factory) == _BUNCH


def item_objection(target: Instance, key: Symbol, value: Symbol) -> str | None:
    """Say why what has its items as attributes may not have an item."""
    if _named(target.factory) not in _NAMED_ITEMS:
        return None
    if not isinstance(key, str) or key.startswith("__"):
        return "an item that takes the place of a method"
    return objection(target, {key: value})


def _of_attributes(where: Global, state: dict[Symbol, Symbol]) -> str | None:
    """Judge where predicting looks for a formula: in the data of the model of results."""
    if any(state.get(one) is not None for one in _SPECS):
        return "it has a formula of its own, which is evaluated as Python when it predicts"
    if not where.module.startswith(_ROOT):
        return None
    data, model = state.get("data"), state.get("model")
    if isinstance(data, Instance) and data.factory.module != _DATA:
        return "its data are none of statsmodels'"
    if isinstance(model, Instance) and not model.factory.module.startswith(_ROOT):
        return "its model is none of statsmodels'"
    return None


def _of_data(state: Symbol) -> str | None:
    """Judge what the data of a model are; keys that are no plain text could be any."""
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        return "data in a state that statsmodels does not write"
    if not any(one in state for one in _RESTORED):
        return None
    frames = [state["frame"]] if "frame" in state else [state.get("orig_endog"), state.get("orig_exog")]
    if not all(isinstance(one, Instance) and _named(one.factory) in _FRAMES for one in frames):
        return "data in a state that statsmodels does not write"
    formula = state.get("formula")
    if isinstance(formula, str) and is_plain(formula):
        return None
    shown = f" {formula[:60]!r}" if isinstance(formula, str) else ""
    return f"a formula within it{shown} is evaluated as Python when it is loaded"


def is_plain(formula: str) -> bool:
    """Tell whether a formula is made of columns, numbers, operators and well-known functions alone."""
    if len(formula) > _LONGEST_FORMULA:
        return False
    sides = formula.split("~")
    return 1 <= len(sides) <= 2 and all(_is_plain(side) for side in sides if side.strip())


def _is_plain(side: str) -> bool:
    # the sign of an interaction is as strong as a product, for the reading
    try:
        tree = ast.parse(side.strip().replace("\n", " ").replace(":", "*"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Call):
            if not _is_known(node.func):
                return False
            stack += [*node.args, *node.keywords]
        elif isinstance(node, _NODES):
            stack += ast.iter_child_nodes(node)
        else:
            return False
    return True


def _is_known(function: ast.expr) -> bool:
    match function:
        case ast.Name(id=name):
            return name in _CODES
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name):
            return name in _FUNCTIONS
    return False


def _of_distribution(target: Instance, state: Symbol) -> str | None:
    if target.arguments or not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        return "a distribution in a state that SciPy does not write"
    text = state.get("_parse_arg_template")
    if not isinstance(text, str) or not _is_parsing(" ".join(text.split())):
        return "a text of its state is compiled when it is loaded"
    if any(isinstance(value, Global) for value in state.values()):
        return "a function takes the place of a method"
    return None


def _is_parsing(text: str) -> bool:
    """Tell whether it is what SciPy makes of the names of a distribution's shapes."""
    found = _SHAPES.match(text)
    shapes = found[1] if found else ""
    return text == (
        f"def _parse_args(self, {shapes}loc=0, scale=1): return ({shapes}), loc, scale "
        f"def _parse_args_rvs(self, {shapes}loc=0, scale=1, size=None): "
        f"return self._argcheck_rvs({shapes or ' '}loc, scale, size=size) "
        f"def _parse_args_stats(self, {shapes}loc=0, scale=1, moments='mv'): "
        f"return ({shapes}), loc, scale, moments"
    )


def _named(found: Global) -> tuple[str, str]:
    return found.module, found.name
