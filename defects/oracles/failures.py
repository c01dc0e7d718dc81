"""Which failures of an oracle stay failures."""

from __future__ import annotations

from defects.oracles.base import NotConvergedError, NotInTableError
from defects.oracles.functions import PropertyFunctionError
from defects.oracles.relax import StructureChangedError

#: Failures that another try cannot mend.
PERMANENT = (NotConvergedError, NotInTableError, PropertyFunctionError, StructureChangedError)
