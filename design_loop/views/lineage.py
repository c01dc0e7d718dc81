"""A candidate's origin: instruction, adapter, sample, check, prediction, selection, label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from design_loop.ledger.browsing import CandidateStory
from design_loop.ledger.reader import LedgerReader
from design_loop.progress.state import duration
from design_loop.summary import CampaignSummary
from design_loop.views.html import Markup, join, number, tag
from design_loop.views.listings import manifest
from design_loop.views.naming import short, unit
from serve.public import public_manifest, without_paths


def stages(ledger: LedgerReader, summary: CampaignSummary, story: CandidateStory) -> Markup:
    """The stages of a candidate, first to last."""
    parts = [
        _instruction(summary, story),
        _adapter(ledger, summary, story),
        _sample(story),
        _check(story),
        *_predictions(ledger, summary, story),
        *_selections(story),
        *_failures(story),
        *_labels(summary, story),
    ]
    return tag("ol", join(parts), class_="story")


def _stage(title: str, *content: object, there: bool = True) -> Markup:
    return tag("li", tag("h3", title), join(content), class_=None if there else "none")


def _instruction(summary: CampaignSummary, story: CandidateStory) -> Markup:
    asked = _values(summary, story.candidate.asked)
    if not asked:
        return _stage("Instruction", tag("p", "None: a search asks for nothing."), there=False)
    prompt = story.samples[0].found.sample.prompt if story.samples else None
    text = tag("details", tag("summary", "the prompt"), tag("pre", prompt)) if prompt else ""
    return _stage("Instruction", tag("p", f"asked for {asked}"), text)


def _adapter(ledger: LedgerReader, summary: CampaignSummary, story: CandidateStory) -> Markup:
    name = story.samples[0].found.sample.adapter if story.samples else None
    made = next((a for a in ledger.adapters(summary.campaign.id) if a.name == name), None)
    if made is None:
        words = f"Proposed by {name}." if name else "Unknown."
        return _stage("Proposer", tag("p", words), there=False)
    learnt = "the dataset" if made.round == 0 else f"the dataset and rounds 1 to {made.round}"
    words = f" made in round {made.round}, from {learnt}"
    shown = manifest(public_manifest(made.manifest))
    return _stage("Adapter", tag("p", tag("code", made.name), words), shown)


def _sample(story: CandidateStory) -> Markup:
    if not story.samples:
        return _stage("Sample", tag("p", "No answer is recorded."), there=False)
    first = story.samples[0]
    sample = first.found.sample
    words = f"round {first.round}, number {sample.index}, ended by {sample.finish_reason}"
    return _stage("Sample", tag("p", words), tag("pre", sample.text[:4000]))


def _check(story: CandidateStory) -> Markup:
    words = "valid under the rules, in no known symmetry class"
    if story.repeated:
        words += f"; proposed again {story.repeated} times, dropped as a duplicate"
    return _stage("Check", tag("p", words))


def _predictions(
    ledger: LedgerReader, summary: CampaignSummary, story: CandidateStory
) -> list[Markup]:
    made = {s.version: s.round for s in ledger.surrogates(summary.campaign.id)}
    if not story.predictions:
        return [_stage("Prediction", tag("p", "None yet."), there=False)]
    selected_in = {number_ for number_, *_ in story.selections}
    found = []
    for version, number_, prediction in story.predictions:
        values = _values(summary, prediction.mean, prediction.std)
        words = f"{values}; surrogate error {number(prediction.surrogate_error)}"
        if len(story.predictions) > 1 and number_ in selected_in:
            words += "; selected by this one"
        origin = f" of round {made[version]}" if version in made else ""
        by = tag("p", "surrogate ", tag("code", version[:16]), origin, class_="small")
        found.append(_stage(f"Prediction in round {number_}", tag("p", words), by))
    return found


def _selections(story: CandidateStory) -> list[Markup]:
    if not story.selections:
        return [_stage("Selection", tag("p", "Not chosen for the oracle."), there=False)]
    found = []
    for number_, rank, reason, _ in story.selections:
        words = f"number {rank} of the chosen: {reason}"
        if number_ > story.candidate.round:
            words += f"; found in round {story.candidate.round}, passed over until then"
        found.append(_stage(f"Selection in round {number_}", tag("p", words)))
    return found


def _failures(story: CandidateStory) -> list[Markup]:
    return [
        _stage(
            f"Oracle failed in round {f.round}",
            tag("p", without_paths(f.error), class_="error"),
            tag("p", "given up" if f.final else "tried again", class_="small"),
            there=False,
        )
        for f in story.failures
    ]


def _labels(summary: CampaignSummary, story: CandidateStory) -> list[Markup]:
    if not story.labels:
        return [_stage("Label", tag("p", "None yet."), there=False)]
    found = []
    for label in story.labels:
        words = _values(summary, label.properties)
        call = ""
        if story.call is not None and label.oracle_key == story.call.key:
            oracle = ", ".join(f"{k} {v}" for k, v in _flat(story.call.oracle)) or "oracle"
            time = duration(story.call.seconds) if story.call.seconds is not None else "?"
            tries = f"{story.call.tries} {'try' if story.call.tries == 1 else 'tries'}"
            key = tag("code", story.call.key[:24])
            call = tag("p", f"{oracle}; {time}, {tries}; call ", key, class_="small")
        title = f"Label by the {label.source} in round {label.round}"
        found.append(_stage(title, tag("p", words), call))
    return found


def _values(
    summary: CampaignSummary, values: Mapping[str, Any], spreads: Mapping[str, float] | None = None
) -> str:
    parts = []
    for name, value in values.items():
        if not isinstance(value, (int, float)):
            continue
        spread = (spreads or {}).get(name)
        more = f" ± {number(spread)}" if spread is not None else ""
        parts.append(f"{short(name)} {number(value)}{more} {unit(summary.campaign, name)}".strip())
    return ", ".join(parts)


def _flat(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Plain entries of a mapping, those of mappings inside it too."""
    found: list[tuple[str, Any]] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            found += _flat(value)
        elif value is not None and len(str(value)) <= 120:
            # Of a folder the last part: readers may be elsewhere.
            words = str(value).rstrip("/").rpartition("/")[2]
            found.append((str(key).replace("_", " "), words))
    return found
