"""Formulas of a pairwise decomposition as text and as a drawing against the distance."""

from __future__ import annotations

import ast
import math
from html import escape
from pathlib import Path

import numpy as np

from defects.errors import ModelError
from defects.surrogates.fitted import FittedSurrogate, load_surrogate
from defects.surrogates.pairwise_model import Formula, FormulaModel

WIDTH, HEIGHT = 320, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 26, 40
COLOURS = ("#2f6db5", "#c8553d", "#3d8c5a", "#8a5fa8")


def formula_models(folder: str | Path) -> dict[str, FormulaModel]:
    """The pairwise decompositions of a surrogate folder, by property.

    Raises
    ------
    ModelError
        When the folder is no surrogate, or none of its properties is of the kind ``formula``.
    """
    surrogate: FittedSurrogate = load_surrogate(folder)
    means = [m.mean for m in surrogate.models]
    found = {m.name: m.model for m in means if isinstance(m.model, FormulaModel)}
    if not found:
        kinds = ", ".join(sorted({m.kind for m in means}))
        raise ModelError(
            f"{folder} has no formulas, its models are {kinds}: train one with "
            "`surrogate train --model formula`"
        )
    return found


def formulas_text(models: dict[str, FormulaModel]) -> str:
    """All formulas, a paragraph per property."""
    return "\n".join(f"{name}\n{'=' * len(name)}\n{m.text()}" for name, m in models.items())


def formulas_svg(models: dict[str, FormulaModel]) -> str:
    """One panel per property and pair of kinds: the formula, and the points it was fitted to."""
    panels = [(name, m, f) for name, m in models.items() for f in m.formulas]
    across = min(3, max(1, len(panels)))
    down = math.ceil(len(panels) / across)
    body = "".join(
        f'<g transform="translate({i % across * WIDTH},{i // across * HEIGHT})">'
        f"{_panel(name, m, f)}</g>"
        for i, (name, m, f) in enumerate(panels)
    )
    width, height = across * WIDTH, down * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="white"/>{body}</svg>\n'
    )


def _panel(name: str, model: FormulaModel, formula: Formula) -> str:
    points = formula.points
    r = np.linspace(points[:, 0].min() * 0.97, points[:, 0].max() * 1.02, 160)
    heights = sorted({round(float(h), 2) for h in points[:, 1]})
    if "h" not in _names(formula):
        heights = heights[:1]
    curves = [formula.expression({"r": r, "h": np.full_like(r, h)}) for h in heights]
    low = min(points[:, 2].min(), *(np.nanmin(c) for c in curves))
    high = max(points[:, 2].max(), *(np.nanmax(c) for c in curves))
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return LEFT + (value - r[0]) / (r[-1] - r[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    letter = "V" if model.terms.rule == "sum" else "g"
    a, b = formula.kinds
    out = [
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(f"{name}: {letter}[{a}, {b}]")}'
        f"<title>{escape(formula.expression.text)}</title></text>",
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}" fill="none" stroke="#999"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        value, at = low + share * (high - low), r[0] + share * (r[-1] - r[0])
        out.append(
            f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3f}</text>'
            f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{at:.1f}</text>'
        )
    out.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">r, Å'
        f'</text><text x="4" y="{TOP - 2}">eV</text>'
    )
    for curve, colour, h in zip(curves, COLOURS, heights, strict=False):
        line = " ".join(
            f"{x(p):.1f},{y(q):.1f}" for p, q in zip(r, curve, strict=True) if np.isfinite(q)
        )
        out.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}"><title>h = {h} Å</title>'
            "</polyline>"
        )
    for distance, height, value, weight in points:
        size = 1.5 + min(2.5, math.sqrt(max(weight, 0.0)) / 4)
        out.append(
            f'<circle cx="{x(distance):.1f}" cy="{y(value):.1f}" r="{size:.1f}" fill="#444" '
            f'fill-opacity="0.45"><title>r = {distance:.2f} Å, h = {height:.2f} Å, '
            f"{value:.4f} eV, {weight:.0f} labels</title></circle>"
        )
    return "".join(out)


def _names(formula: Formula) -> set[str]:
    """Variables that the formula really uses."""
    return {n.id for n in ast.walk(formula.expression.tree) if isinstance(n, ast.Name)}
