"""Nodes of an ONNX graph whose tensors are int64, and whole-number rounding made of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from qsnn.deploy.arithmetic import LONGEST_SHIFT, highest_code

Term = str
"""The name of a tensor."""


class Graph:
    """``nodes`` and ``constants`` so far. Every method adds nodes and gives the name of what they make."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: dict[Any, Term] = {}

    def node(self, operator: str, *inputs: Term, **attributes: Any) -> Term:
        """Of one output."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def array(self, values: NDArray[Any], name: str) -> Term:
        """Weights or a table, int64."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.int64), name))
        return name

    def number(self, value: int) -> Term:
        """A scalar."""
        if value not in self._known:
            self._known[value] = self.array(np.array(value), f"number_{value}".replace("-", "minus_"))
        return self._known[value]

    def axes(self, *sizes: int) -> Term:
        """A shape, or a list of axes."""
        if sizes not in self._known:
            self._known[sizes] = self.array(np.array(sizes), f"sizes_{len(self._known)}")
        return self._known[sizes]

    def whole(self, x: Term) -> Term:
        """As int64; truth values as 0 and 1."""
        return self.node("Cast", x, to=TensorProto.INT64)

    def named(self, x: Term, name: str, kind: int) -> None:
        """An output of the graph."""
        self.nodes.append(helper.make_node("Cast", [x], [name], to=kind))

    def times(self, x: Term, factor: int) -> Term:
        """The product with a constant."""
        return x if factor == 1 else self.node("Mul", x, self.number(factor))

    def total(self, terms: list[Term]) -> Term:
        """Their sum."""
        found = terms[0]
        for term in terms[1:]:
            found = self.node("Add", found, term)
        return found

    def floor(self, x: Term, shift: int) -> Term:
        """``floor(x 2^-shift)``: Div goes toward zero, so what is left is taken off first."""
        if shift == 0:
            return x
        scale = self.number(1 << shift)
        return self.node("Div", self.node("Sub", x, self.node("Mod", x, scale)), scale)

    def rint(self, x: Term, shift: int) -> Term:
        """``rint(x 2^-shift)``, half to even."""
        if shift <= 0:
            return self.times(x, 1 << -shift)
        if shift > LONGEST_SHIFT:
            return self.node("Sub", x, x)
        scale, half = self.number(1 << shift), self.number(1 << (shift - 1))
        rest = self.node("Mod", x, scale)
        low = self.node("Div", self.node("Sub", x, rest), scale)
        odd = self.node("Equal", self.node("Mod", low, self.number(2)), self.number(1))
        tie = self.node("And", self.node("Equal", rest, half), odd)
        return self.node("Add", low, self.whole(self.node("Or", self.node("Greater", rest, half), tie)))

    def code(self, x: Term, shift: int, bits: int) -> Term:
        """``clamp(rint(x 2^-shift))``; of one bit the sign of x itself."""
        return self.clamped(x if bits == 1 else self.rint(x, shift), bits)

    def clamped(self, x: Term, bits: int) -> Term:
        """To the codes of a signed format."""
        if bits == 1:
            up = self.whole(self.node("GreaterOrEqual", x, self.number(0)))
            return self.node("Sub", self.times(up, 2), self.number(1))
        return self.within(x, -highest_code(bits), highest_code(bits))

    def within(self, x: Term, low: int, high: int) -> Term:
        """Clamped to ``low`` .. ``high``."""
        return self.node("Clip", x, self.number(low), self.number(high))

    def gathered(self, x: Term, places: NDArray[np.int64], name: str) -> Term:
        """Columns ``places`` (...) of x (B, N), one behind the last for a 0, to (B, ...)."""
        zero = self.times(self.node("Slice", x, self.axes(0), self.axes(1), self.axes(1)), 0)
        return self.node("Gather", self.node("Concat", x, zero, axis=1), self.array(places, name), axis=1)

    def looked_up(self, table: Term, x: Term) -> Term:
        """Entries x of a flat table."""
        return self.node("Gather", table, x, axis=0)
