"""Write docs/campaign-file.md from the schema. ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from defects.rules import Rules
from defects.targets import Target
from design_loop.config import CampaignConfig, preset_names

PAGE = Path(__file__).resolve().parent.parent / "docs" / "campaign-file.md"
HEAD = """# The campaign file

Made by `make docs` from the schema itself; a test holds it current.

A campaign is described by one YAML file. It is read and checked completely before anything starts:
unknown keys, contradictions and targets out of reach are refused with their line and what to write
instead. Relative paths start at the file's folder. Start from a shipped one
({presets}, in `design_loop/presets/`).

A target is a mapping as below, or in short: `homo_lumo_gap=1.1`, `homo_lumo_gap=1.1+-0.05`,
`homo_lumo_gap=0.9..1.2`, `formation_energy_per_site<=0.5`, `formation_energy=min`. Properties and
their units are those of the 2DMD dataset, all in eV.
"""
_INNER = {"rules": Rules, "targets": Target}


def build() -> str:
    """The page as text."""
    presets = ", ".join(f"`{name}`" for name in preset_names())
    parts = [HEAD.format(presets=presets), "\n## Top level\n", *_table(CampaignConfig)]
    parts += _sections(CampaignConfig)
    return "".join(parts)


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """A heading and a table for every section, those within it after it."""
    for name, field in model.model_fields.items():
        inner = _INNER.get(name) or field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            title = f"{prefix}{name}" + ("[]" if name == "targets" else "")
            yield f"\n## `{title}`\n"
            yield from _table(inner, f"{prefix}{name}.")
            yield from _sections(inner, f"{prefix}{name}.")


def _table(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    yield "\n| key | | default |\n|---|---|---|\n"
    for name, field in model.model_fields.items():
        anchor = f"{prefix}{name}".replace(".", "")
        text = (field.description or f"see [below](#{anchor})").replace("|", "\\|")
        yield f"| `{name}` | {text}{_choices(field)} | {_default(field)} |\n"


def _choices(field: FieldInfo) -> str:
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return ": " + ", ".join(f"`{choice}`" for choice in get_args(kind))
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value is None or value in ({}, ()):
        return ""
    if isinstance(value, tuple):
        whole = all(isinstance(part, int) for part in value)
        text = ("x" if whole else ", ").join(map(str, value))
        value = text if whole else f"[{text}]"
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"


if __name__ == "__main__":
    text = build()
    if "--check" in sys.argv:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        sys.exit(0 if current else "docs/campaign-file.md is not current; run: make docs")
    PAGE.write_text(text, encoding="utf-8")
