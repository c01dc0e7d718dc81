"""A valid campaign file in small, and changes to it."""

from __future__ import annotations

import copy
from typing import Any

import yaml

VALID: dict[str, Any] = {
    "name": "small",
    "host": {"name": "MoS2", "supercell": "4x4"},
    "rules": {"defects": ["V_Mo", "V_S", "W_Mo", "Se_S"], "max_defects": 6},
    "targets": [{"property": "homo_lumo_gap", "min": 0.6, "max": 0.9}],
    "dataset": "xtb-mos2-4x4",
}


def changed(**changes: Any) -> str:
    """The file with values set at dotted places (``targets__0__min=2``); None removes a key."""
    data = copy.deepcopy(VALID)
    for place, value in changes.items():
        *way, last = (int(part) if part.isdigit() else part for part in place.split("__"))
        here = data
        for part in way:
            here = here[part] if isinstance(part, int) else here.setdefault(part, {})
        if value is None:
            del here[last]
        else:
            here[last] = value
    return yaml.safe_dump(data, sort_keys=False)
