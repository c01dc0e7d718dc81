"""What lies in a campaign's folder, against what the ledger says should."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from defects.errors import ModelError
from design_loop.doctor.findings import Finding, Severity
from design_loop.ledger import Ledger

#: Free space below which to warn, and below which a campaign will hardly end, bytes.
_LITTLE, _TOO_LITTLE = 5 * 2**30, 2**30
#: How a loader's error ends: advice for folders made by hand. A campaign would take no new one.
_LOADERS_ADVICE = re.compile(
    r"; (make one with `[^`]*`|(copy the whole folder or )?train( it)? again)$"
)


def campaign_folder(ledger: Ledger, campaign: str) -> Path:
    """Where the campaign's files lie."""
    return Path(ledger.campaign(campaign).workdir) / campaign


def check_models(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Adapters and surrogates that are missing or were altered."""
    from defects.surrogates.folder import SURROGATE
    from training.manifest import read_adapter

    folder = campaign_folder(ledger, campaign)
    kinds = (
        ("adapters", ledger.adapters(campaign), read_adapter, "name", "hash"),
        ("surrogates", ledger.surrogates(campaign), SURROGATE.read, "version", "version"),
    )
    for check, made, read, name, seal in kinds:
        for record in made:
            needed = record is made[-1]
            try:
                found = read(record.path)
            except ModelError as error:
                reason = _LOADERS_ADVICE.sub("", str(error))
                yield _lost(folder, check, getattr(record, name), record.round, needed, reason)
                continue
            manifest = getattr(found, "manifest", found)
            if seal in record.manifest and manifest[seal] != record.manifest[seal]:
                reason = f"{record.path} holds another one than was recorded"
                yield _lost(folder, check, getattr(record, name), record.round, needed, reason)


def _lost(folder: Path, check: str, name: str, number: int, needed: bool, reason: str) -> Finding:
    if not needed:
        advice = "the campaign goes on without it; put it back from a backup to use it elsewhere"
        severity = Severity.WARNING
    else:
        # The driver wrote it down at its start: a fork of the same targets.
        written = folder / "campaign.yaml"
        file, which = shlex.quote(str(written)), ""
        if not written.is_file():
            file, which = "FILE.yaml", " (FILE.yaml: what the campaign was started from)"
        advice = (
            f"put the folder back from a backup; or `design-loop campaign fork {folder.name} {file}"
            f"`, which takes all labels along and trains anew{which}"
        )
        severity = Severity.ERROR
    return Finding(check, severity, f"{name} of round {number}: {reason}", advice)


def check_leftovers(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Half-written folders that a killed driver left, and folders that no ledger row knows."""
    folder = campaign_folder(ledger, campaign)
    lease = ledger.lease_state(campaign)
    driven = lease is not None and lease.living
    known = {
        "adapters": {Path(a.path).name for a in ledger.adapters(campaign)},
        "surrogates": {Path(s.path).name for s in ledger.surrogates(campaign)},
    }
    for part, names in known.items():
        for path in sorted((folder / part).glob("*")):
            if path.name in names or not path.is_dir():
                continue
            if path.name.startswith("."):
                if not driven:
                    yield Finding(
                        "files",
                        Severity.WARNING,
                        f"{path} was never finished",
                        "nothing reads it; it only takes space",
                        partial(shutil.rmtree, path),
                        "removed",
                    )
            else:
                yield Finding(
                    "files",
                    Severity.INFO,
                    f"{path} is in no row of the ledger",
                    "a resume takes it up if it made it just before it was killed; otherwise "
                    "somebody else put it there",
                )
    if not folder.is_dir():
        severity = Severity.ERROR if ledger.surrogates(campaign) else Severity.INFO
        yield Finding("files", severity, f"there is no folder {folder}", "was it moved?")


def check_disk(ledger: Ledger, campaign: str) -> Iterator[Finding]:
    """Free space where the campaign writes."""
    folder = Path(ledger.campaign(campaign).workdir)
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    if free < _LITTLE:
        yield Finding(
            "disk",
            Severity.ERROR if free < _TOO_LITTLE else Severity.WARNING,
            f"{free / 2**30:.1f} GiB are free where {folder} lies",
            "free some space; results wait ten minutes for it, then the campaign stops unharmed",
        )
