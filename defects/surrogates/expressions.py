"""Closed formulas as text: checked, then evaluated on arrays, without `eval`.

A formula is an arithmetic expression in Python's syntax. It is parsed to a tree of which only
numbers, named variables, ``+ - * / **`` and a few functions are allowed; anything else is refused,
so a formula read from a file can do nothing but arithmetic.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from defects.errors import ModelError

#: Longest formula accepted, in characters, and the deepest nesting.
MAX_LENGTH = 4000
MAX_DEPTH = 60

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "abs": np.abs,
}


@dataclass(frozen=True)
class Expression:
    """A checked formula.

    Attributes
    ----------
    text : str
        As it was given.
    variables : tuple of str
        Names that it may use.
    tree : ast.expr
    """

    text: str
    variables: tuple[str, ...]
    tree: ast.expr

    @classmethod
    def parse(cls, text: str, variables: tuple[str, ...]) -> Expression:
        """Read a formula.

        Raises
        ------
        ModelError
            When it is no arithmetic expression of these variables.
        """
        if len(text) > MAX_LENGTH:
            raise ModelError(f"a formula of {len(text)} characters, at most {MAX_LENGTH} are read")
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ModelError(f"not a formula: {text[:80]!r} ({error})") from error
        _check(tree, text, variables, 0)
        return cls(text, variables, tree)

    def __call__(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Evaluate on arrays of one shape; what is undefined somewhere is NaN there."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in values.values()))
        with np.errstate(all="ignore"):
            found = np.asarray(_evaluate(self.tree, values), dtype=float)
        found = np.where(np.isfinite(found), found, np.nan)
        return np.broadcast_to(found, shape).copy()


def _check(node: ast.AST, text: str, variables: tuple[str, ...], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ModelError(f"formula nested deeper than {MAX_DEPTH}: {text[:80]!r}")
    children: list[ast.AST]
    number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    if number or (isinstance(node, ast.Name) and node.id in variables):
        children = []
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        children = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        children = [node.operand]
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FUNCTIONS
        and len(node.args) == 1
        and not node.keywords
    ):
        children = [node.args[0]]
    else:
        raise ModelError(
            f"not allowed in a formula: {ast.unparse(node)[:60]!r}; it may have numbers, "
            f"{', '.join(variables)}, + - * / ** and {', '.join(FUNCTIONS)}"
        )
    for child in children:
        _check(child, text, variables, depth + 1)


def _evaluate(node: ast.AST, values: Mapping[str, np.ndarray]) -> Any:
    if isinstance(node, ast.Constant):
        # As floats: whole numbers of Python grow without bound under **.
        return np.float64(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_evaluate(node.left, values), _evaluate(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_evaluate(node.operand, values))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](_evaluate(node.args[0], values))
