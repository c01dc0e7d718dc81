"""VASP elsewhere: its input files for candidates, and what its runs found."""

from defects.vasp.inputs import VaspInputs, parse_incar, write_inputs
from defects.vasp.results import VaspRun, find_runs, read_run

__all__ = ["VaspInputs", "VaspRun", "find_runs", "parse_incar", "read_run", "write_inputs"]
