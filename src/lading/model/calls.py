"""Calls of names on the allow-list: the name and the arguments go in, the symbol of the result comes out.

Raises UnfollowedError for arguments that a pickler does not write, above all functions handed to functions.
"""

from __future__ import annotations

from collections.abc import Callable

from lading.model.allowlist import CONSTRUCTIBLE, OWN_CLASS, OWN_FUNCTION
from lading.model.arrays import frombuffer, make_dtype
from lading.model.symbols import UNKNOWN, Array, Global, Instance, Raw, Symbol, UnfollowedError

_JUDGED = (None, OWN_FUNCTION)
"""Kinds that are listed as risks where they are handed over, and not refused as well."""
_NO_METHODS = frozenset({"__doc__", "__overloads__"})
_BASES = frozenset({"object", "dict", "list", "tuple", "str", "int", "float", "set", "frozenset", "bytes"})


def call_listed(callee: Global, arguments: tuple[Symbol, ...]) -> Symbol:
    """Return the symbol of what a listed callable makes."""
    if (callee.module, callee.name) != ("functools", "partial"):
        _check_passed(callee, arguments)
    make = _MAKERS.get(str(callee))
    return make(callee, arguments) if make else Instance(callee, arguments)


def _check_passed(callee: Global, arguments: tuple[Symbol, ...]) -> None:
    """Refuse functions as arguments: some of what is listed calls what it is given."""
    for one in arguments:
        source = one.factory if isinstance(one, Instance) else one
        if not isinstance(source, Global) or source.kind in _JUDGED:
            continue
        if callee.module == "numpy.random._pickle":
            fits = source.module.startswith("numpy.random.")
        else:
            fits = source.kind in CONSTRUCTIBLE
        if not fits:
            raise UnfollowedError(f"{source} is handed to a function")


def _bytes(callee: Global, arguments: tuple[Symbol, ...]) -> Raw:
    """Read how protocols 0 to 2 write bytes: as text, to be encoded as latin-1."""
    if callee.module == "_codecs" and (len(arguments) != 2 or arguments[1] != "latin1"):
        raise UnfollowedError("an encoding that pickle does not write")
    content = arguments[0] if arguments else ""
    return Raw(
        content.size_bytes if isinstance(content, Raw) else len(content) if isinstance(content, str) else 0
    )


def _reconstructed(_: Global, arguments: tuple[Symbol, ...]) -> Instance:
    """Read how protocols 0 and 1 make an object: `_reconstructor(class, base, state)`."""
    match arguments:
        case (Global() as cls, Global(module="builtins", name=base), _) if base in _BASES:
            if cls.kind is None or cls.kind in CONSTRUCTIBLE:
                return Instance(cls)
    raise UnfollowedError("an object in a form that pickle does not write")


def _partial(callee: Global, arguments: tuple[Symbol, ...]) -> Instance:
    """Allow a partial of the functions whose kind is `bind` alone: it is an arbitrary call, only later."""
    match arguments:
        case (Global(kind="bind"),):
            return Instance(callee, arguments)
        case _:
            raise UnfollowedError("a partial of what may not be bound")


def build_instance(target: Symbol, state: Symbol) -> None:
    """Give a trusted instance its state, once; refuse a state that could replace its methods."""
    if not isinstance(target, Instance):
        raise UnfollowedError("state for what is no instance")
    if target.built:
        raise UnfollowedError(f"a second state for {target.factory}")
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    for part in parts:
        if isinstance(part, dict) and any(_is_dunder(key) for key in part):
            raise UnfollowedError(f"a state that replaces special methods of {target.factory}")
    own = target.factory.kind == OWN_CLASS  # its __getstate__ may have returned anything
    if not own and not isinstance(state, (dict, tuple, list, Raw, str, int, float, type(None))):
        raise UnfollowedError(f"a computed state for {target.factory}")
    if (target.factory.module, target.factory.name) == ("functools", "partial"):
        _partial(target.factory, state[:1] if isinstance(state, tuple) else ())
    target.state = state
    target.built = True


def _is_dunder(key: object) -> bool:
    """Tell whether it is a special method's name: neither a text nor a list of TorchScript's is one."""
    return isinstance(key, str) and key.startswith("__") and key.endswith("__") and key not in _NO_METHODS


def _of_class(_: Global, arguments: tuple[Symbol, ...]) -> Symbol:
    """Read how Cython makes an object: of the class that comes first."""
    match arguments:
        case (Global() as cls, *_) if cls.kind is None or cls.kind in CONSTRUCTIBLE:
            return Instance(cls)
    raise UnfollowedError("an object in a form that pickle does not write")


def _bare(callee: Global, arguments: tuple[Symbol, ...]) -> Instance:
    """Make what gets all that it has by its state: with arguments it would be computed."""
    if arguments:
        raise UnfollowedError("arguments for what pickle makes without any")
    return Instance(callee)


def _unknown(_: Global, __: tuple[Symbol, ...]) -> Symbol:
    return UNKNOWN


def _array(_: Global, __: tuple[Symbol, ...]) -> Symbol:
    return Array()


_MAKERS: dict[str, Callable[[Global, tuple[Symbol, ...]], Symbol]] = {
    "_codecs.encode": _bytes,
    "scipy.stats._distn_infrastructure.rv_continuous_frozen": _bare,
    "scipy.stats._distn_infrastructure.rv_frozen": _bare,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.frozenset": _unknown,
    "builtins.set": _unknown,
    "copyreg._reconstructor": _reconstructed,
    "functools.partial": _partial,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _unknown,
    "numpy._core.numeric._frombuffer": lambda _, arguments: frombuffer(arguments),
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _unknown,
    "numpy.core.numeric._frombuffer": lambda _, arguments: frombuffer(arguments),
    "numpy.dtype": lambda _, arguments: make_dtype(arguments),
    "numpy.matrix": _array,
    "numpy.matrixlib.defmatrix.matrix": _array,
    "numpy.ndarray": _array,
    "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": _of_class,
    "pandas._libs.interval.__pyx_unpickle_IntervalMixin": _of_class,
    "pytz._UTC": _unknown,
    "pytz._p": _unknown,
}
