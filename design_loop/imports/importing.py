"""Importing labels: matched by canonical key, checked, recorded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.errors import OracleError
from defects.oracles import ExternalOracle
from defects.oracles.base import with_derived
from design_loop.config import CampaignConfig
from design_loop.imports.incoming import Incoming, References, Setting
from design_loop.imports.readers import read_labels
from design_loop.ledger import Ledger, Prediction, Source
from design_loop.oracle_plan import oracle_stages

#: Values nearer than this to a recorded one are the same (eV; relative beyond 1).
SAME = 1e-5
#: A gap and its levels may differ by so much through rounding, eV.
_ROUNDING = 5e-3
#: Spreads of the surrogate beyond which a label is called an outlier.
_FAR = 5.0
#: A gap above this is no electronvolt, eV.
_LARGEST_GAP = 20.0


@dataclass
class ImportReport:
    """What an import did; every line says where in the files it comes from.

    Attributes
    ----------
    recorded, unchanged : list of str
        Candidates with a new label; those that had the same one.
    conflicts, unmatched, problems : list of str
        What was not recorded: another label is there; no candidate of the campaign; no label.
    warnings : list of str
        Recorded, but worth a look.
    given_up : list of str
        Candidates that the campaign no longer waits for.
    waiting : int
        Candidates that it still waits for.
    """

    recorded: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    waiting: int = 0


def import_labels(
    ledger: Ledger,
    campaign: str,
    path: Path,
    name: str,
    references: References | None = None,
    *,
    give_up_failed: bool = False,
    give_up_rest: bool = False,
) -> ImportReport:
    """Record labels from outside as verified ones of a campaign's candidates.

    Every label is a transaction of its own; doing it again changes nothing, also while a driver
    works on the campaign.

    Parameters
    ----------
    ledger : Ledger
    campaign : str
        Its id.
    path : Path
        See `design_loop.imports.readers.read_labels`.
    name : str
        Where the labels come from; they are recorded as ``imported:NAME``.
    references : References, optional
        For formation energies; added to those of an external oracle's settings. A run of the
        pristine supercell among the files gives its energy.
    give_up_failed : bool
        Give up the candidates whose calculations failed, if the campaign waits for them.
    give_up_rest : bool
        Give up all that the campaign still waits for afterwards.

    Raises
    ------
    ImportLabelsError
        When the files cannot be read at all.
    LedgerError
        When the ledger refuses.
    """
    found = ledger.campaign(campaign)
    return _Import(ledger, found.id, CampaignConfig.model_validate(found.config), name).run(
        path, references or References(), give_up_failed, give_up_rest
    )


class _Import:
    def __init__(self, ledger: Ledger, campaign: str, config: CampaignConfig, name: str) -> None:
        from defects.hosts import get_host

        self.ledger, self.id, self.origin = ledger, campaign, f"imported:{name}"
        self.report = ImportReport()
        self.setting = Setting(
            get_host(config.host.name, config.host.supercell), config.own_properties
        )
        self.candidates = {c.key: c for c in ledger.candidates(campaign)}
        self.labels: dict[str, Mapping[str, float]] = {
            label.candidate: label.properties for label in ledger.labels(campaign, Source.ORACLE)
        }
        self.predictions: dict[str, Prediction] = {
            p.candidate: p for _, p in ledger.predictions(campaign)
        }
        self.calls = ledger.external_calls(campaign)
        stages = oracle_stages(config)
        built = stages[-1].spec.build() if stages and stages[-1].external else None
        self.oracle = built if isinstance(built, ExternalOracle) else None

    def run(
        self, path: Path, references: References, give_up_failed: bool, give_up_rest: bool
    ) -> ImportReport:
        rows, told = read_labels(path, self.setting)
        self.report.warnings += told
        references = self._with_pristine(references, rows)
        for row in rows:
            if not row.pristine:
                self._take(row, references, give_up_failed)
        self.calls = self.ledger.external_calls(self.id)
        if give_up_rest:
            for key in [k for k in self.calls if k not in self.labels]:
                self._give_up(key, "no label was imported")
        left = self.ledger.external_calls(self.id)
        self.report.waiting = len([k for k in left if k not in self.labels])
        return self.report

    def _with_pristine(self, references: References, rows: list[Incoming]) -> References:
        """The energy of a pristine run among the rows, unless one was given."""
        if references.pristine_energy is not None:
            return references
        for row in rows:
            if row.pristine and row.problem is None and "energy" in row.properties:
                return replace(references, pristine_energy=row.properties["energy"])
        return references

    def _take(self, row: Incoming, references: References, give_up_failed: bool) -> None:
        report = self.report
        if row.problem is not None:
            report.problems.append(f"{row.where}: {row.problem}")
            if give_up_failed and row.key in self.calls and row.key not in self.labels:
                self._give_up(row.key, row.problem)
            return
        if row.key is None or row.key not in self.candidates:
            report.unmatched.append(f"{row.where}: no candidate of this campaign ({row.key})")
            return
        if not row.properties:
            return  # a row of an exported table that nobody has filled in yet
        try:
            values = self._complete(row, references)
        except OracleError as error:
            report.problems.append(f"{row.where}: {error}")
            return
        wrong = self._implausible(row.key, values)
        if wrong is not None:
            report.problems.append(f"{row.where}: {wrong}")
            return
        self._record(row, values)

    def _complete(self, row: Incoming, references: References) -> dict[str, float]:
        """The values with what follows from them."""
        assert row.key is not None
        configuration = Configuration.from_dict(
            self.candidates[row.key].configuration, self.setting.host
        )
        values = dict(row.properties)
        if references.chemical_potentials or references.pristine_energy is not None:
            potentials = dict(references.chemical_potentials)
            pristine = references.pristine_energy
            if self.oracle is not None:
                potentials = self.oracle.chemical_potentials(self.setting.host) | potentials
                if pristine is None:
                    pristine = self.oracle.pristine_energy(self.setting.host)
            values = with_derived(values, configuration, pristine, potentials) | values
        if self.oracle is not None:
            return self.oracle.complete(configuration, values)
        return with_derived(values, configuration, None, {}) | values

    def _implausible(self, key: str, values: Mapping[str, float]) -> str | None:
        """Values that contradict each other or cannot be in these units, and what is missing."""
        if {"homo", "lumo", "homo_lumo_gap"} <= values.keys():
            gap = values["lumo"] - values["homo"]
            if abs(gap - values["homo_lumo_gap"]) > _ROUNDING:
                return (
                    f"homo_lumo_gap is {values['homo_lumo_gap']:g}, but lumo - homo is {gap:g}; "
                    "are they all in one unit?"
                )
        gap = values.get("homo_lumo_gap", 0.0)
        if not -_ROUNDING <= gap <= _LARGEST_GAP:
            return f"a gap of {gap:g} eV; write its unit into the heading: homo_lumo_gap (meV)"
        if self.oracle is not None and key in self.calls:
            lacking = [p for p in self.oracle.required if p not in values]
            if lacking:
                return (
                    f"lacks {', '.join(lacking)}, which oracle.settings.properties promises of "
                    "every label"
                )
        return None

    def _record(self, row: Incoming, values: dict[str, float]) -> None:
        assert row.key is not None
        report, known = self.report, self.labels.get(row.key)
        what = f"{row.key}: {row.where}"
        if known is not None:
            apart = {n: v for n, v in values.items() if n in known and not _same(v, known[n])}
            if apart:
                said = ", ".join(f"{n} {v:g}, recorded {known[n]:g}" for n, v in apart.items())
                report.conflicts.append(f"{what}: another label is recorded ({said})")
            else:
                report.unchanged.append(what)
            return
        if not self.ledger.import_label(self.id, row.key, values, self.origin, self._details(row)):
            report.conflicts.append(f"{what}: was labelled at this very moment")
            return
        self.labels[row.key] = values
        report.recorded.append(what)
        report.warnings += [f"{what}: {text}" for text in self._outlying(row.key, values)]

    def _details(self, row: Incoming) -> dict[str, Any]:
        return {**row.details, "file": row.where}

    def _outlying(self, key: str, values: Mapping[str, float]) -> list[str]:
        prediction = self.predictions.get(key)
        if prediction is None:
            return []
        return [
            f"{n} {values[n]:.4g} is {abs(values[n] - mean) / std:.1f} spreads from the "
            f"surrogate's {mean:.4g} ± {std:.2g}"
            for n, mean in prediction.mean.items()
            if n in values
            and (std := prediction.std.get(n, 0.0)) > 0
            and abs(values[n] - mean) > _FAR * std
        ]

    def _give_up(self, key: str, why: str) -> None:
        call = self.calls[key]
        self.ledger.record_failure(
            self.id, call.round, key, call.oracle_key, why, final=True, kind="External"
        )
        self.report.given_up.append(f"{key}: {why}")


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * max(1.0, abs(a), abs(b))
