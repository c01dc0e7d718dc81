"""YAML that remembers on which line everything stood.

A safe loader: it makes plain values only, refuses a key that is given twice (YAML's own loader
silently takes the last one), and reads ``1e-4`` as the number that it looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from design_loop.config.problems import Loc, Problem

# Far beyond any campaign file; stops a file that names itself over and over by aliases.
_MAX_NODES = 20_000


_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with YAML 1.2's floats."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass
class Document:
    """A parsed file.

    Attributes
    ----------
    data
        Its values; None for an empty file.
    lines
        Place -> line, counted from 1. Of a key of a mapping: the line of the key.
    problems
        (line, problem): keys given twice, and other things that only the text shows.
    """

    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[tuple[int | None, Problem]] = field(default_factory=list)

    def line(self, loc: Loc) -> int | None:
        """Return the line of a place, or of the nearest thing around it that the file has."""
        # pydantic may name a branch of a union that stands in no file.
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.lines:
                return self.lines[loc[:end]]
        return None


def parse_yaml(text: str) -> Document:
    """Read YAML with the line of everything in it.

    A file that is no YAML at all gives a document with one problem and no data.
    """
    document = Document()
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _Builder(loader, document).build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        document.data = None
        document.problems.append((line, Problem((), f"is not YAML: {_explain(error)}")))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"is not YAML: it holds the character {chr(error.character)!r}"
        document.problems.append((line, Problem((), message)))
    except ValueError as error:
        # A date that does not exist, a number that is none.
        document.data = None
        document.problems.append((None, Problem((), f"is not YAML: {error}")))
    return document


class _Builder:
    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._nodes = 0

    def build(self, node: yaml.Node, loc: Loc) -> None:
        """Set the document's data from its root."""
        self._document.lines[()] = node.start_mark.line + 1
        self._document.data = self._value(node, loc, frozenset())

    def _value(self, node: yaml.Node, loc: Loc, above: frozenset[int]) -> Any:
        self._nodes += 1
        if id(node) in above or self._nodes > _MAX_NODES:
            raise _refusal(node, "an alias that contains itself, or far too many")
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise _refusal(node, f"the tag {node.tag} is not allowed")
        inside = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc, inside)
        if isinstance(node, yaml.SequenceNode):
            values = []
            for position, child in enumerate(node.value):
                here = (*loc, position)
                self._document.lines[here] = child.start_mark.line + 1
                values.append(self._value(child, here, inside))
            return values
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, loc: Loc, above: frozenset[int]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal(key_node, "a key must be a word")
            key = str(key_node.value)
            here = (*loc, key)
            if key in values:
                first = self._document.lines[here]
                problem = Problem(here, f"is given twice, first in line {first}; remove one")
                self._document.problems.append((line, problem))
                continue
            self._document.lines[here] = line
            values[key] = self._value(child, here, above)
        return values


def _refusal(node: yaml.Node, message: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _explain(error: yaml.MarkedYAMLError) -> str:
    text = str(error.problem or error.context or error)
    if "\\t" in text:
        return "a tab stands where YAML wants spaces"
    if "mapping values are not allowed" in text:
        return "a second ':' in one line, or wrong indentation; put text with ':' in quotes"
    if "found another document" in text:
        return "a second document begins here ('---'); a campaign file holds one"
    return text
