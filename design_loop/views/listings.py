"""Tables of a campaign: rounds, times, drops, failures, models, versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from design_loop.ledger import Adapter, Event, Surrogate
from design_loop.progress.state import duration
from design_loop.summary import CampaignSummary
from design_loop.tables import short_adapter
from design_loop.views.html import Markup, number, table, tag
from design_loop.views.naming import with_unit
from design_loop.views.public import public_config, public_surrogate
from serve.public import public_manifest, without_paths

#: Columns of tables with a column per round.
LATEST = 20
#: Over `config_text`.
CONFIG_TITLE = "campaign.yaml: defaults written out, folders by name, no tracking or environment"
#: Entries of an adapter's manifest that stand in its line.
_LEARNT = (("n_instructions", "instructions"), ("n_verified", "of them verified"))
_TOLD = ("loss", "steps", "seconds", "rank", "learning_rate", "seed")


def rounds_table(summary: CampaignSummary) -> Markup:
    """Rounds: what came how far, hits, best error, models."""
    # Candidates count in the round that found them, also where a later one selected them.
    chosen = "selected (found earlier)" if summary.funnel.earlier else "selected"
    columns = ("round", "samples", "new", "predicted", chosen, "verified", "failed", "hits",
               with_unit("best", summary), "time", "adapter", "surrogate")  # fmt: skip
    rows = []
    for r in summary.rounds:
        if r.number == 0:
            continue
        f = r.funnel
        selected = f"{f.selected} ({f.earlier})" if summary.funnel.earlier else f.selected
        counts = (f.samples, f.candidates, f.predicted, selected, f.verified, f.failed, r.hits)
        name = f"{r.number}" if r.done else f"{r.number} (running)"
        models = (short_adapter(r.adapter), (r.surrogate or "-")[:12])
        rows.append(
            (name, *counts, number(r.best_error), duration(r.total_seconds),
             *(tag("code", m) for m in models))
        )  # fmt: skip
    return table(columns, rows, (0, 10, 11), "rounds")


def times_table(summary: CampaignSummary) -> Markup:
    """Time of every step in the latest rounds, and in all."""
    rounds = summary.rounds[-LATEST:]
    steps = list(dict.fromkeys(s for r in summary.rounds for s in r.seconds))
    rows = []
    for step in steps:
        cells = (duration(r.seconds[step]) if step in r.seconds else "" for r in rounds)
        total = duration(sum(r.seconds.get(step, 0.0) for r in summary.rounds))
        rows.append((step, *cells, total))
    total = duration(sum(r.total_seconds for r in summary.rounds))
    rows.append(("all", *(duration(r.total_seconds) for r in rounds), total))
    columns = ("step", *(f"round {r.number}" for r in rounds), "all")
    return table(columns, rows, label="time per step")


def drops_table(summary: CampaignSummary) -> Markup:
    """Why samples were dropped, by round; nothing where none was."""
    if not summary.funnel.drops:
        return Markup("")
    rounds = [r for r in summary.rounds if r.number > 0 and r.funnel.checked][-LATEST:]
    rows = [
        [reason, *(r.funnel.drops.get(reason, 0) for r in rounds), total]
        for reason, total in summary.funnel.drops.items()
    ]
    columns = ["dropped because", *(f"round {r.number}" for r in rounds), "all"]
    return table(columns, rows, label="drops")


def events_table(events: Sequence[Event]) -> Markup:
    """Messages of a campaign."""
    rows = [
        (f"{e.time:%Y-%m-%d %H:%M:%S}", "" if e.round is None else e.round, e.level,
         without_paths(e.message))
        for e in events
    ]  # fmt: skip
    return table(("time (UTC)", "round", "level", "message"), rows, (0, 2, 3), "messages")


def adapters_table(adapters: Sequence[Adapter]) -> Markup:
    """Adapters with what they were made from."""
    rows = []
    for a in adapters:
        m = public_manifest(a.manifest)
        base = str(m.get("base_model") or "–").rstrip("/").rpartition("/")[2]
        facts = [f"{m[key]} {words}" for key, words in _LEARNT if m.get(key) is not None]
        for group in ("metrics", "hyperparameters"):
            inside = m.get(group) if isinstance(m.get(group), Mapping) else {}
            known = [key for key in _TOLD if key in inside]
            facts += [f"{key.replace('_', ' ')} {_plain(inside[key])}" for key in known]
        rows.append(
            (a.round, tag("code", a.name), tag("code", m.get("parent") or base),
             ", ".join(facts) or "–", manifest(m))
        )  # fmt: skip
    columns = ("made in round", "adapter", "goes on from", "facts", "manifest")
    return table(columns, rows, (1, 2, 3, 4), "adapters")


def surrogates_table(surrogates: Sequence[Surrogate]) -> Markup:
    """Surrogates with their cross-validated errors."""
    rows = []
    for s in surrogates:
        facts, m = [], public_surrogate(s.manifest)
        properties = m.get("properties")
        for name, entry in properties.items() if isinstance(properties, Mapping) else ():
            metrics = entry.get("metrics", {}) if isinstance(entry, Mapping) else {}
            if "mae" in metrics:
                words = f"{name}: MAE {number(metrics['mae'])}, {entry.get('model', '')}"
                facts.append(words.rstrip(", "))
        count = _plain(m.get("n_labels", "–"))
        rows.append((s.round, tag("code", s.version), "; ".join(facts) or "–", count, manifest(m)))
    columns = ("made in round", "surrogate", "cross-validated", "labels", "manifest")
    return table(columns, rows, (1, 2, 4), "surrogates")


def manifest(content: Mapping[str, Any]) -> Markup:
    """A manifest as others may see it, folded."""
    text = yaml.safe_dump(_tame(content), sort_keys=False, allow_unicode=True)
    if len(text) > 6000:
        text = text[:6000] + "\n... (the whole is in the model's folder)"
    return tag("details", tag("summary", "show"), tag("pre", text))


def versions_table(summary: CampaignSummary) -> Markup:
    """Versions of the packages that decide about results."""
    versions = sorted(summary.campaign.versions.items())
    return table(("package", "version"), versions, (0, 1), "versions")


def config_text(summary: CampaignSummary) -> str:
    """The campaign file with all defaults written out, less what names places."""
    shown = public_config(summary.campaign.config)
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)


def _tame(value: Any) -> Any:
    """Plain data with long lists cut."""
    if isinstance(value, Mapping):
        return {str(k): _tame(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        kept = [_tame(v) for v in value[:20]]
        return kept if len(value) <= 20 else [*kept, f"... {len(value) - 20} more"]
    return value


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    return str(value)
