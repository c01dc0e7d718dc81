"""The ledger: campaigns, rounds, steps, candidates, labels and oracle calls in an SQL database."""

from design_loop.ledger.errors import LeaseHeldError, LeaseLostError, LedgerError
from design_loop.ledger.records import (
    Adapter,
    Campaign,
    Candidate,
    Check,
    CheckedSample,
    Event,
    Funnel,
    Label,
    PendingCall,
    Prediction,
    Round,
    Sample,
    Selection,
    Step,
    Surrogate,
    Verified,
)
from design_loop.ledger.states import (
    PREPARE_STEPS,
    ROUND_STEPS,
    CallState,
    CampaignState,
    Source,
    StepState,
)
from design_loop.ledger.steps import StepRun
from design_loop.ledger.store import Ledger

__all__ = [
    "PREPARE_STEPS",
    "ROUND_STEPS",
    "Adapter",
    "CallState",
    "Campaign",
    "CampaignState",
    "Candidate",
    "Check",
    "CheckedSample",
    "Event",
    "Funnel",
    "Label",
    "LeaseHeldError",
    "LeaseLostError",
    "Ledger",
    "LedgerError",
    "PendingCall",
    "Prediction",
    "Round",
    "Sample",
    "Selection",
    "Source",
    "Step",
    "StepRun",
    "StepState",
    "Surrogate",
    "Verified",
]
