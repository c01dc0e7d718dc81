"""pydantic's errors in the words of a campaign file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from design_loop.config.problems import Loc, Problem, did_you_mean

_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (put it in quotes)",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
}
#: What the names may look like that a mapping's keys are.
_NAMES = {
    "environment": "letters, digits and underscore, no digit first, 128 at most",
    "custom_resources": "letters, digits and _ . : -, a letter or digit first, 128 at most",
}
#: Parts of the place of the deepest number, and some more.
_DEEPEST = 8
#: How pydantic marks that a mapping's key is wrong and not its value.
_KEY = "[key]"


def explain(error: ValidationError, model: type[BaseModel], prefix: Loc = ()) -> list[Problem]:
    """Turn every error of a validation into a problem.

    Parameters
    ----------
    error
        What pydantic found.
    model
        What was validated; its fields are what a wrong key may have meant.
    prefix
        Where in the file the model stands.
    """
    found = error.errors()
    # A list whose items are all wrong is, to pydantic, also too short.
    within = {details["loc"][:-1] for details in found} | {d["loc"][:-2] for d in found}
    return [
        Problem((*prefix, *(p for p in details["loc"] if p != _KEY)), _message(details, model))
        for details in found
        if not (details["type"] == "too_short" and details["loc"] in within)
    ]


def booleans(
    data: Any, model: type[BaseModel], loc: Loc = (), field: FieldInfo | None = None
) -> Iterator[Problem]:
    """Find ``true`` where a number belongs, which pydantic would take for 1.

    Parameters
    ----------
    data
        What a campaign file says.
    model
        Of the whole file.
    loc, field
        Where in the file `data` stands, and the field there.
    """
    if isinstance(data, bool):
        kinds = _kinds(field.annotation) if field is not None else set()
        if field is not None and kinds & {int, float} and not kinds & {bool, Any}:
            kind = "int_type" if int in kinds else "float_type"
            yield Problem(loc, _message({"type": kind, "loc": loc, "input": data}, model))
    elif isinstance(data, Mapping | list) and len(loc) < _DEEPEST:
        for part, inner in data.items() if isinstance(data, Mapping) else enumerate(data):
            place = (*loc, part)
            yield from booleans(inner, model, place, field_at(model, place))


def _kinds(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))


def _message(details: Mapping[str, Any], model: type[BaseModel]) -> str:
    kind, loc, value = details["type"], details["loc"], details.get("input")
    if loc[-1:] == (_KEY,):
        names = _NAMES.get(str(loc[-3]), "another name")
        return f"{value!r} cannot be a name here; use {names}"
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_meant(str(loc[-1]), loc[:-1], model)}"
    field = field_at(model, loc)
    what = f" ({field.description})" if field is not None and field.description else ""
    if kind == "missing":
        return f"is missing{what}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, not {value!r}{what}"
    if kind == "literal_error":
        allowed = _choices(field.annotation) if field is not None else []
        return f"{value!r} is not known{did_you_mean(value, allowed)}"
    if kind in ("model_type", "model_attributes_type"):
        inner = model_of(field) if field is not None else model
        keys = ", ".join(inner.model_fields) if inner is not None else ""
        return f"must be a mapping with the keys {keys}, not {value!r}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, not {value!r}{what}"
    if kind == "too_long":
        return f"at most {context['max_length']} can be given, not {context['actual_length']}{what}"
    if kind in ("too_short", "string_too_short"):
        return f"is empty{what}"
    if kind == "string_pattern_mismatch":
        if loc == ("name",):
            return f"{value!r}: use letters, digits, space, dot, dash and underscore, 64 at most"
        if ":" in context.get("pattern", ""):
            return f"{value!r}: write package.module:name{what}"
        return f"{value!r} is not written as it should be{what}"
    if kind == "value_error":
        return str(context["error"])
    return f"{details['msg'][0].lower()}{details['msg'][1:]}, not {value!r}{what}"


def _choices(annotation: Any) -> list[str]:
    """Words of a Literal, also of one that may be None."""
    words: list[str] = []
    for part in get_args(annotation):
        words += [part] if isinstance(part, str) else _choices(part)
    return words


def _meant(key: str, loc: Loc, model: type[BaseModel]) -> str:
    """What an unknown key may have meant: a neighbour's name, or its right place elsewhere."""
    here = _model_at(model, loc)
    known = list(here.model_fields) if here is not None else []
    near = did_you_mean(key, known)
    if near.startswith("; did"):
        return near
    places = [place for place in _all_keys(model) if place.rpartition(".")[2] == key]
    if places:
        return f"; write it as {places[0]}"
    return near


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = model_of(field)
        if inner is not None:
            yield from _all_keys(inner, f"{prefix}{name}.")


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    if not loc:
        return model
    field = field_at(model, loc)
    return model_of(field) if field is not None else None


def field_at(model: type[BaseModel], loc: Loc) -> FieldInfo | None:
    """Return the field at a place, or None; a place in a list or mapping is that field."""
    field: FieldInfo | None = None
    current: type[BaseModel] | None = model
    named = False  # the next part is a key that the user chose
    for part in loc:
        if isinstance(part, int):
            continue
        if named:
            named = False
            continue
        if current is None or part not in current.model_fields:
            return None
        field = current.model_fields[part]
        current = model_of(field)
        named = get_origin(field.annotation) is dict
    return field


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model that a field holds, alone or in a list; None for plain values."""
    waiting = [field.annotation]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        waiting.extend(get_args(annotation))
    return None
