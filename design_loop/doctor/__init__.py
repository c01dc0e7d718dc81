"""What is wrong with a campaign, why, and what to do: ``campaign doctor``."""

from design_loop.doctor.diagnosis import Diagnosis, examine
from design_loop.doctor.findings import Finding, Severity

__all__ = ["Diagnosis", "Finding", "Severity", "examine"]
