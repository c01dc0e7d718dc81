"""What is asked of the language model: host, rules and the properties wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from defects.configuration import Configuration
from defects.descriptors import DESCRIPTORS
from defects.hosts import Host
from defects.properties import DECIMALS, Property, property_named
from defects.rules import Rules
from defects.text.frame import Frame
from defects.text.rule_lines import rule_lines


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes
    ----------
    host : Host
    rules : Rules
    properties : mapping of str to float, int or str
        Any subset of `PROPERTIES`, `DESCRIPTORS` and a user's own properties, in the order asked.
    frame : Frame
        Choice of lattice vectors and origin in which the `full` format writes coordinates.
    own : mapping
        A user's own properties by name: their units and decimals.
    among : tuple of Configuration, optional
        The only configurations that may answer, as they lie, where not everything that the rules
        allow can be verified. The prompt does not name them; the grammar of the answers holds them.
    """

    host: Host
    rules: Rules
    properties: Mapping[str, float | int | str] = field(default_factory=dict)
    frame: Frame = field(default_factory=Frame)
    own: Mapping[str, Property] = field(default_factory=dict)
    among: tuple[Configuration, ...] | None = None

    def property_lines(self) -> list[str]:
        """``homo_lumo_gap: 1.104 eV``, one line per property."""
        return [f"{n}: {self._value(n, v)}" for n, v in self.properties.items()]

    def _value(self, name: str, value: float | int | str) -> str:
        known = property_named(name, self.own)
        decimals = DECIMALS if known is None else known.decimals
        if known is not None:
            unit = known.unit
        else:
            unit = DESCRIPTORS[name][0] if name in DESCRIPTORS else ""
        number = f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
        return f"{number} {unit}".rstrip()


def header(request: Request) -> str:
    """The part that both formats share: host, rules, properties, and what may change."""
    host, rules = request.host, request.rules
    size = "x".join(map(str, host.supercell))
    lines = [
        "Design point defects in a 2D crystal.",
        f"Host: {host.name}, supercell {size}",
        f"Allowed defects: {', '.join(rules.defects)}",
        "Number of defects: {} to {}".format(*rules.number(host)),
        *rule_lines(rules),
        "Requested properties:",
        *(request.property_lines() or ["any"]),
        "Only the atom symbols may change; a vacancy is VAC.",
    ]
    return "\n".join(lines) + "\n"
