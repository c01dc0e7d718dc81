"""Instructions and answers as text: what is asked of the language model, and how it is read."""

from defects.text.augment import canonical_member, training_pair
from defects.text.formats import (
    DROP_REASONS,
    FORMATS,
    build_answer,
    build_prompt,
    default_top_p,
    longest_answer,
    parse_answer,
)
from defects.text.frame import Frame, random_frame
from defects.text.grammar import Grammar, answer_grammar
from defects.text.request import Request

__all__ = [
    "DROP_REASONS",
    "FORMATS",
    "Frame",
    "Grammar",
    "Request",
    "answer_grammar",
    "build_answer",
    "build_prompt",
    "canonical_member",
    "default_top_p",
    "longest_answer",
    "parse_answer",
    "random_frame",
    "training_pair",
]
