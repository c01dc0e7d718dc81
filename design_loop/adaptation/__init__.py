"""Settings of the language model that follow what they yield, and an eye on their diversity.

Everything here is derived from the ledger: a round that is run again after a kill asks with the
same settings.
"""

from __future__ import annotations

from design_loop.adaptation.arms import Arm, RoundPlan
from design_loop.adaptation.plan import plan_round

__all__ = ["Arm", "RoundPlan", "plan_round"]
