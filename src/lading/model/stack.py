"""The pickle machine's stack, memo and containers, as symbols: instructions go in, stacked symbols come out.

A method `op_x` follows the opcode X (CPython, Lib/pickle.py); `walk.py` adds those that name and call things.
"""

from __future__ import annotations

from lading.core.errors import ModelError
from lading.model.allowlist import OWN_CLASS
from lading.model.opcodes import Operand
from lading.model.source import Source
from lading.model.symbols import Instance, SetOf, Symbol, is_a, is_tainted

_APPENDABLE = (("collections", "deque"), ("builtins", "list"))

HELD_BYTES = {
    **dict.fromkeys(("EMPTY_LIST", "LIST", "EMPTY_DICT", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), 80),
    **dict.fromkeys(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "SETITEM", "EMPTY_SET", "FROZENSET"), 100),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ", "STACK_GLOBAL", "GLOBAL"), 160),
    "DICT": 240,
    "SETITEMS": 240,
}
"""What an instruction may add to the memory that is held, where that is more than a number."""


def _is_own_list(target: Symbol) -> bool:
    """Tell whether it is of a class of the author's and blank yet: picklers write items before the state."""
    return isinstance(target, Instance) and target.factory.kind == OWN_CLASS and not target.built


class Stack:
    """What one pickle has put on its stack and into its memo."""

    def __init__(self, source: Source) -> None:
        """Begin empty; `source` says in errors where an instruction stands."""
        self.source = source
        self.stack: list[Symbol] = []
        self.marks: list[int] = []
        self.fence = 0
        self.memo: dict[int, Symbol] = {}
        self.protocol = 0
        self.at = 0

    def refused(self, what: str) -> ModelError:
        """Make the error that says what is wrong with this instruction."""
        fix = "save the model again, or get it from another place"
        return self.source.refused(what, fix, position=self.at)

    # the stack

    def pop(self) -> Symbol:
        if len(self.stack) <= self.fence:
            raise self.refused("an instruction takes more than the stack holds")
        return self.stack.pop()

    def top(self) -> Symbol:
        if len(self.stack) <= self.fence:
            raise self.refused("an instruction needs more than the stack holds")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Symbol]:
        if not self.marks:
            raise self.refused("an instruction needs a mark that is not there")
        start = self.marks.pop()
        self.fence = self.marks[-1] if self.marks else 0
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def op_mark(self, _: Operand) -> None:
        self.fence = len(self.stack)
        self.marks.append(self.fence)

    def op_pop(self, _: Operand) -> None:
        if self.marks and len(self.stack) == self.fence:
            self.pop_to_mark()
        else:
            self.pop()

    def op_pop_mark(self, _: Operand) -> None:
        self.pop_to_mark()

    def op_dup(self, _: Operand) -> None:
        self.stack.append(self.top())

    # the memo

    def op_memoize(self, _: Operand) -> None:
        self.memo[len(self.memo)] = self.top()

    def op_put(self, index: Operand) -> None:
        assert isinstance(index, int)
        self.memo[index] = self.top()

    def op_binput(self, index: Operand) -> None:
        self.protocol = self.protocol or 1
        self.op_put(index)

    op_long_binput = op_binput

    def op_get(self, index: Operand) -> None:
        assert isinstance(index, int)
        if index not in self.memo:
            raise self.refused(f"memo {index} is read before it is written")
        self.stack.append(self.memo[index])

    op_binget = op_long_binget = op_get

    # containers

    def op_none(self, _: Operand) -> None:
        self.stack.append(None)

    def op_newtrue(self, _: Operand) -> None:
        self.stack.append(True)

    def op_newfalse(self, _: Operand) -> None:
        self.stack.append(False)

    def op_empty_tuple(self, _: Operand) -> None:
        self.stack.append(())

    def op_tuple(self, _: Operand) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def op_tuple1(self, _: Operand) -> None:
        self.stack.append((self.pop(),))

    def op_tuple2(self, _: Operand) -> None:
        second, first = self.pop(), self.pop()
        self.stack.append((first, second))

    def op_tuple3(self, _: Operand) -> None:
        third, second, first = self.pop(), self.pop(), self.pop()
        self.stack.append((first, second, third))

    def op_list(self, _: Operand) -> None:
        self.stack.append(self.pop_to_mark())

    def op_dict(self, _: Operand) -> None:
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items(items)

    def op_empty_list(self, _: Operand) -> None:
        self.stack.append([])

    def op_empty_dict(self, _: Operand) -> None:
        self.stack.append({})

    def op_empty_set(self, _: Operand) -> None:
        self.stack.append(SetOf())

    def op_frozenset(self, _: Operand) -> None:
        self.stack.append(SetOf(self.pop_to_mark()))

    def op_append(self, _: Operand) -> None:
        self.extend([self.pop()])

    def op_appends(self, _: Operand) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, items: list[Symbol]) -> None:
        """Extend a list; on anything else APPEND calls a method, which the pickle could have replaced."""
        target = self.top()
        if type(target) is list:
            target.extend(items)
        elif not is_tainted(target) and not is_a(target, *_APPENDABLE) and not _is_own_list(target):
            raise self.refused("items are appended to what is no list")

    def op_additems(self, _: Operand) -> None:
        items = self.pop_to_mark()
        target = self.top()
        if isinstance(target, SetOf):
            target.extend(items)
        elif not is_tainted(target):
            raise self.refused("items are added to what is no set")

    def op_setitem(self, _: Operand) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def op_setitems(self, _: Operand) -> None:
        self.set_items(self.pop_to_mark())

    def set_items(self, items: list[Symbol]) -> None:
        target = self.top()
        if len(items) % 2:
            raise self.refused("a key without a value")
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # other keys are kept apart from each other, so that their values stay in sight
                target[key if isinstance(key, str) else object()] = value
        elif not isinstance(target, Instance):
            raise self.refused("items are set on what is no dict")
