"""The symbolic pickle machine: a `Source` goes in, what loading it would name and make comes out.

Nothing is loaded. Every instruction is followed on a stack and a memo of symbols, and it fails closed: a name
that is not on the allow-list becomes a `Risk`; what cannot be followed for certain is a `ModelError`.
`Walked.raw_arrays` tells how the file has to be loaded: with joblib if it is true, else with pickle; the walk
is worth nothing for a loader that goes the other way.
"""

from __future__ import annotations

import _compat_pickle
from collections.abc import Callable
from dataclasses import dataclass, field

from lading.core.errors import Issue, ModelError
from lading.core.model import Risk
from lading.model.allowlist import CONSTRUCTIBLE, OWN_CLASS, OWN_FUNCTION, allowed_names
from lading.model.arrays import RawArray, build_array, build_dtype, file_of, raw_array
from lading.model.calls import build_instance, call_listed
from lading.model.code import FirstParty
from lading.model.opcodes import TABLE, Operand, instructions
from lading.model.source import Source
from lading.model.stack import HELD_BYTES, Stack
from lading.model.states import is_itself, item_objection, objection
from lading.model.symbols import (
    UNKNOWN,
    Array,
    Dtype,
    Global,
    Instance,
    Symbol,
    UnfollowedError,
    is_a,
    is_tainted,
)

JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
JOBLIB_FILE = ("joblib.numpy_pickle", "NDArrayWrapper")
"""What joblib wrote before 0.10, for arrays in files of their own."""
_MOST_HELD_BYTES = 3 << 30
_ALWAYS_HELD_BYTES = 64 << 20
_HELD_RATIO = 512
"""How much memory the walk may take: at most, for any file, and more for each byte of a file.

Forests take next to none, as their numbers are arrays. Vocabularies take most: a million words
take 174 MB, or 750 MB where each has a numpy integer, at up to 240 for each byte of an xz file.
"""
_HIGHEST_PROTOCOL = 5
_LEAST_HELD_BYTES = 32
_NOT_LISTED = "not on the list of what is safe to name"
_CALLS_LATER = ("collections.defaultdict", "functools.partial")


@dataclass(slots=True)
class Walked:
    """What one file would do if it were loaded."""

    top: Symbol = None
    protocol: int = 0
    names: dict[tuple[str, str], int] = field(default_factory=dict)
    """Every `(module, name)` and where it is first named."""
    risks: dict[str, Risk] = field(default_factory=dict)
    raw_arrays: bool = False
    """Array bytes stand between the instructions, as joblib writes them."""
    padded_arrays: bool = False
    """They are aligned, which joblib before 1.2 does not know."""
    files: list[str] = field(default_factory=list)
    """Files beside this one that joblib reads arrays from, some of which may be pickles again."""
    mentions: set[str] = field(default_factory=set)
    """Texts that begin as MLflow's modules do: what functions within it import, or were defined in."""
    held_bytes: int = 0
    """What following it took in memory, about and at most."""


def walk(source: Source, *, first_party: FirstParty | None = None) -> Walked:
    """Follow a file that holds exactly one pickle, of pickle or joblib.

    What `first_party` modules define is the author's own and no risk to name, nor are its classes to make.
    Raises ModelError for what is not such a file.
    """
    walked = Walked()
    machine = Machine(source, walked, first_party or FirstParty(), joblib=True)
    walked.top = machine.run()
    walked.protocol = machine.protocol
    if not source.at_end():
        raise source.refused("there are bytes behind the end of the pickle", "save the model again, alone")
    return walked


def walk_leniently(source: Source, *, first_party: FirstParty | None = None) -> tuple[Walked, Issue | None]:
    """Follow pickles, one behind the other, as far as they can be followed; tell what ended that, if any.

    For a report: what it returns with an issue is no verdict that a file is safe.
    """
    walked = Walked()
    try:
        while True:
            machine = Machine(source, walked, first_party or FirstParty(), joblib=True)
            walked.top = machine.run()
            walked.protocol = machine.protocol
            if source.at_end():
                return walked, None
    except ModelError as error:
        return walked, error.issues[0]


class Machine(Stack):
    """One pickle on the way through its instructions."""

    def __init__(self, source: Source, walked: Walked, first_party: FirstParty, *, joblib: bool) -> None:
        """Follow what the source holds next; what is found goes into `walked`."""
        super().__init__(source)
        self.walked = walked
        self.first_party = first_party
        self.joblib = joblib
        self.globals: dict[tuple[str, str], Global] = {}

    def run(self) -> Symbol:
        """Follow the instructions to STOP; return what is then on the stack."""
        walked = self.walked
        size_bytes = self.source.file_size_bytes
        limit_bytes = min(_MOST_HELD_BYTES, _ALWAYS_HELD_BYTES + _HELD_RATIO * size_bytes)
        handlers: dict[str, Callable[[Operand], None]] = {}
        for opcode, _ in TABLE.values():
            # an opcode without a method of its own pushes its operand: a number, a text or bytes
            handlers[opcode] = getattr(self, f"op_{opcode.lower()}", self.stack.append)
        for position, opcode, operand in instructions(self.source):
            self.at = position
            handlers[opcode](operand)
            walked.held_bytes += HELD_BYTES.get(opcode, _LEAST_HELD_BYTES)
            if type(operand) is str:
                walked.held_bytes += len(operand)
                if operand.startswith("mlflow"):
                    walked.mentions.add(operand)
            if walked.held_bytes > limit_bytes:
                raise self.refused(f"takes more memory than a file of {size_bytes} bytes plausibly does")
        if len(self.stack) != 1 or self.marks:
            raise self.refused(f"the pickle ends with {len(self.stack)} objects, expected one")
        if self.source.frame_end > self.source.position:
            raise self.refused("the pickle ends inside of a frame")
        return self.stack[0]

    # names

    def op_global(self, names: Operand) -> None:
        assert isinstance(names, tuple)
        self.stack.append(self.resolve(*names))

    def op_stack_global(self, _: Operand) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise self.refused("a name that is computed while loading")
        self.stack.append(self.resolve(module, name))

    def resolve(self, module: str, name: str) -> Global:
        """Look a name up as pickle does (protocols 0 to 2 use Python 2's names) and on the allow-list."""
        if self.protocol < 3:
            renamed = _compat_pickle.IMPORT_MAPPING.get(module, module), name
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), renamed)
        known = self.globals.get((module, name))
        if known is not None:
            return known
        if not all(part.isidentifier() for part in f"{module}.{name}".split(".")):
            raise self.refused(f"got name {f'{module}.{name}'[:80]!r}, expected a dotted name")
        kind = allowed_names().get((module, name)) or self.first_party.kind_of(module, name)
        if self.joblib and (module, name) in {JOBLIB_ARRAY, JOBLIB_FILE}:
            kind = "class"
        found = self.globals[module, name] = Global(module, name, kind)
        self.walked.names.setdefault((module, name), self.at)
        if kind is None:
            own = self.first_party.has(module)
            why = "no class or function that your module defines" if own else _NOT_LISTED
            self.risk(found, f"named while loading, and {why}")
        return found

    def risk(self, target: Global, why: str) -> None:
        name = str(target)
        if name not in self.walked.risks:
            self.walked.risks[name] = Risk(f"{self.source.name}:{self.at}", name, why)

    # calls

    def op_reduce(self, _: Operand) -> None:
        arguments, callee = self.pop(), self.pop()
        self.call(callee, arguments)

    def op_newobj(self, _: Operand) -> None:
        arguments, cls = self.pop(), self.pop()
        self.call(cls, arguments, constructs=True)

    def op_newobj_ex(self, _: Operand) -> None:
        keywords, arguments, cls = self.pop(), self.pop(), self.pop()
        if not isinstance(keywords, dict):
            raise self.refused("keyword arguments that are no dict")
        if isinstance(arguments, tuple):
            arguments += tuple(keywords.values())
        self.call(cls, arguments, constructs=True)

    def op_inst(self, names: Operand) -> None:
        assert isinstance(names, tuple)
        arguments = tuple(self.pop_to_mark())
        self.check_handed(arguments)
        self.call(self.resolve(*names), arguments, constructs=True)

    def op_obj(self, _: Operand) -> None:
        cls, *arguments = self.pop_to_mark() or [UNKNOWN]
        self.check_handed(tuple(arguments))
        self.call(cls, tuple(arguments), constructs=True)

    def call(self, callee: Symbol, arguments: Symbol, *, constructs: bool = False) -> None:
        """Push what a call returns; to call what may only be named is a risk, what is computed refused."""
        if not isinstance(arguments, tuple):
            raise self.refused("a call whose arguments are computed")
        if is_tainted(callee):
            origin = callee.factory if isinstance(callee, Instance) else callee
            self.stack.append(Instance(origin, arguments))
        elif not isinstance(callee, Global):
            raise self.refused("a call of what is computed while loading")
        elif callee.kind == OWN_CLASS:
            if not constructs:
                self.check_handed(arguments)
            self.stack.append(Instance(callee, arguments))
        elif callee.kind in CONSTRUCTIBLE or (callee.kind == "call" and not constructs):
            if str(callee) not in _CALLS_LATER:
                self.check_handed(arguments)
            try:
                self.stack.append(call_listed(callee, arguments))
            except UnfollowedError as error:
                raise self.refused(f"{callee}: {error}") from error
        else:
            self.risk(callee, "a function that is safe to name, but is called while loading")
            self.stack.append(Instance(Global(callee.module, callee.name, None), arguments))

    def check_handed(self, arguments: tuple[Symbol, ...]) -> None:
        """List the author's functions that are arguments of a call: what is called may call them."""
        for one in arguments:
            if isinstance(one, Global) and one.kind == OWN_FUNCTION:
                self.risk(one, "a function that is handed to what may call it while loading")

    def set_items(self, items: list[Symbol]) -> None:
        target = self.top()
        if isinstance(target, Instance) and not is_tainted(target):
            for key, value in zip(items[::2], items[1::2], strict=False):
                if why := item_objection(target, key, value):
                    self.risk(target.factory, why)
        super().set_items(items)

    def op_build(self, _: Operand) -> None:
        """Follow BUILD: give the object on top of the stack its state."""
        state, target = self.pop(), self.top()
        try:
            if isinstance(target, Dtype):
                build_dtype(target, state)
            elif isinstance(target, Array):
                build_array(target, state)
            elif is_tainted(target):
                if isinstance(target, Instance):
                    target.state = state
            elif self.joblib and is_a(target, JOBLIB_ARRAY):
                self.stack[-1] = self.read_raw(raw_array(target, state))
            elif self.joblib and is_a(target, JOBLIB_FILE):
                self.walked.files.append(file_of(target, state))
                self.stack[-1] = Array()
                self.stack[-1].built = True
            else:
                if isinstance(target, Instance) and (why := objection(target, state)):
                    self.risk(target.factory, why)
                build_instance(target, {} if is_itself(target, state) else state)
        except UnfollowedError as error:
            raise self.refused(str(error)) from error

    def read_raw(self, raw: RawArray) -> Array:
        """Go past the array that joblib wrote behind a wrapper (joblib/numpy_pickle.py, read_array)."""
        source = self.source
        if source.frame_end > source.position:
            raise self.refused("an array in the middle of a frame")
        self.walked.raw_arrays = True
        if raw.dtype.holds_objects:
            nested = Machine(source, self.walked, self.first_party, joblib=False).run()
            source.frame_end = 0
            array = Array(raw.dtype, raw.shape)
            array.items = nested.items if isinstance(nested, Array) else None
            return array
        if raw.padded:
            self.walked.padded_arrays = True
            source.skip(source.take(1)[0])
        source.skip(raw.size_bytes)
        return Array(raw.dtype, raw.shape)

    def op_proto(self, protocol: Operand) -> None:
        assert isinstance(protocol, int)
        if protocol > _HIGHEST_PROTOCOL:
            raise self.refused(f"got protocol {protocol}, expected {_HIGHEST_PROTOCOL} at most")
        self.protocol = protocol

    def op_frame(self, _: Operand) -> None:
        """Take no notice: frames are checked where they are read."""

    op_stop = op_frame

    def op_ext1(self, _: Operand) -> None:
        raise self.refused("a name by extension code, which is not in the file")

    op_ext2 = op_ext4 = op_ext1

    def op_persid(self, _: Operand) -> None:
        raise self.refused("a persistent id, which stands for what is not in the file")

    op_binpersid = op_persid

    def op_next_buffer(self, _: Operand) -> None:
        raise self.refused("an out-of-band buffer, which is not in the file")

    op_readonly_buffer = op_next_buffer
