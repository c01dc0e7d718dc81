"""Names of point defects."""

from __future__ import annotations

import re

from defects.errors import RuleError
from defects.properties import VACANCY

_NAME = re.compile(r"^(V|[A-Z][a-z]?)_([A-Z][a-z]?)$")


def parse_defect(name: str) -> tuple[str, str]:
    """``"V_S"`` → ``("VAC", "S")``, ``"Se_S"`` → ``("Se", "S")``: what is there now, what was.

    Raises
    ------
    RuleError
        When the name is no defect. ``V_X`` is always a vacancy; write vanadium out of the rules.
    """
    match = _NAME.match(name)
    if match is None:
        raise RuleError(
            f"{name!r} is no defect: write V_S for a vacancy of S, Se_S for Se in the place of S"
        )
    now, was = match.groups()
    if now == was:
        raise RuleError(f"{name!r} changes nothing")
    return (VACANCY if now == "V" else now), was
