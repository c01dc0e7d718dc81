"""What was done, in sentences that a paper's methods section can start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from design_loop.ledger import Surrogate
from design_loop.summary import CampaignSummary
from design_loop.views.html import Markup, join, tag
from design_loop.views.methods_space import space
from design_loop.views.naming import proposer_of, short, unit

_PROPOSERS = {
    "random": "random configurations of the rules, none twice",
    "genetic": "a genetic algorithm (pymoo) on the surrogate",
    "tpe": "a tree-structured Parzen estimator (Optuna) on the surrogate",
    "gibbs": "Gibbs sampling of a pairwise formula of the energy",
    "nearest": "the dataset's configurations nearest to the targets",
    "hybrid": "a language model, refined by local moves on the surrogate",
}
_ORACLES = {
    "table": "a table of known labels, looked up by symmetry class",
}
_ORDERS = {
    "quantile": "by surrogate error",
    "probability": "by the probability of meeting all targets",
    "ehvi": "by expected (hypervolume) improvement",
}


def methods(summary: CampaignSummary, surrogates: Sequence[Surrogate]) -> Markup:
    """The method of a campaign from its recorded settings.

    Parameters
    ----------
    summary : CampaignSummary
    surrogates : sequence of Surrogate
        Its own, oldest first: what was fitted, where the settings leave that open.
    """
    config = summary.campaign.config
    parts = [space(summary), _proposing(summary, config), _screening(summary, config, surrogates),
             _verifying(summary, config), _learning(summary, config)]  # fmt: skip
    return join(tag("p", words) for words in parts if words)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _proposing(summary: CampaignSummary, config: Mapping[str, Any]) -> str:
    kind, generation = proposer_of(summary.campaign), _section(config, "generation")
    rounds = f"{generation.get('samples', '?')} proposals in each of {summary.planned} rounds"
    if kind == "llm":
        base = str(config.get("base_model", "a base model")).rstrip("/").rsplit("/", 1)[-1]
        constrained = (
            f" under a grammar of {_answers(config)}" if generation.get("constrained") else ""
        )
        return (
            f"Proposed by a language model ({base}) with LoRA adapters, {rounds}: sampled"
            f"{constrained} at temperature {generation.get('temperature', '?')} from instructions "
            "that state the properties wanted (Al-Maeeni, Derkach, Ustyuzhanin 2024)."
            f"{_adapting(generation)}"
        )
    adapting = _adapting(generation) if kind == "hybrid" else ""
    return f"Proposed by {_PROPOSERS.get(kind, kind)}, {rounds}.{adapting}"


def _answers(config: Mapping[str, Any]) -> str:
    """What the grammars of the answers held (`design_loop.proposers.llm`)."""
    compact = _section(config, "generation").get("format", "compact") == "compact"
    if _section(config, "oracle").get("kind") == "table" and compact:
        return "the rules (where proposals were missing after that, of the table's unknown rest)"
    return "the rules"


def _adapting(generation: Mapping[str, Any]) -> str:
    """How the settings of the sampling changed, where they did."""
    adapt = _section(generation, "adapt")
    if not adapt.get("enabled"):
        return ""
    within = ", ".join(
        f"{words} in {low:g} to {high:g}"
        for name, words in (
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("target_jitter", "widening of the targets"),
        )
        for low, high in (adapt.get(name) or (0, 0),)
    )
    return (
        f" The settings adapted: in every round {adapt.get('arms', '?')} of them ({within}) were "
        "tried side by side, the best so far with half of the prompts, and judged by their "
        "yields against the configured one of the same round (tree-structured Parzen estimator, "
        "Optuna); parts of a target that yielded more were asked for more often."
    )


def _screening(
    summary: CampaignSummary, config: Mapping[str, Any], surrogates: Sequence[Surrogate]
) -> str:
    selection = _section(config, "selection")
    quantile = selection.get("quantile")
    share = f"the best {100 * quantile:g} %" if isinstance(quantile, (int, float)) else "the best"
    order = str(selection.get("strategy", "quantile"))
    explored = selection.get("exploration") or 0
    exploring = f", {100 * explored:g} % of them where its spread is largest" if explored else ""
    # Campaigns of older versions do not know the setting, and did not do it.
    # A goal is met by any value, so with one the error orders what is kept.
    inside = ", those first that it placed inside all targets and the likeliest of these first"
    first = inside if order == "quantile" and not any(t.goal for t in summary.targets) else ""
    again = ", and anew the most promising of those that earlier rounds had not selected"
    reconsidered = again if selection.get("reconsider") and summary.planned > 1 else ""
    return (
        f"A surrogate ({_fitted(config, surrogates)}) predicted every new candidate"
        f"{reconsidered}, with a calibrated spread; {share} {_ORDERS.get(order, order)} were kept, "
        f"and up to {selection.get('budget', '?')} per round of them chosen{first}, with a weight "
        f"of {selection.get('diversity', '?')} on diversity{exploring}."
        f"{_distrusting(summary, selection)}"
    )


def _fitted(config: Mapping[str, Any], surrogates: Sequence[Surrogate]) -> str:
    """What the surrogates were made of: a kind per property, several where refits differ."""
    kinds: dict[str, dict[str, None]] = {}
    for surrogate in surrogates:
        for name, entry in _section(surrogate.manifest, "properties").items():
            if isinstance(entry, Mapping) and entry.get("model"):
                kinds.setdefault(name, {})[str(entry["model"])] = None
    asked = str(_section(config, "surrogate").get("kind", "?"))
    best = "the kind with the smallest cross-validated error"
    if not kinds:
        return best if asked == "auto" else f"kind {asked}"
    words = ", ".join(f"{short(name)} by {', later '.join(found)}" for name, found in kinds.items())
    return f"{words}: {best}, chosen with every fit" if asked == "auto" else words


def _distrusting(summary: CampaignSummary, selection: Mapping[str, Any]) -> str:
    """What was done where the surrogate was not to be trusted, if anything."""
    rest = "left to the share for its spread" if selection.get("exploration") else "not chosen"
    said = {
        "avoid": " What lay outside of its labels was taken last of all.",
        "explore": " What lay outside of its labels was left to the share for its spread, and came "
        "first there.",
    }.get(str(selection.get("out_of_domain")), "")
    limits = ", ".join(
        f"{most:g} {unit(summary.campaign, name)}".strip() + f" of {short(name)}"
        for name, most in _section(selection, "max_std").items()
    )
    return f"{said} Candidates with a spread above {limits} were {rest}." if limits else said


def _verifying(summary: CampaignSummary, config: Mapping[str, Any]) -> str:
    oracle = _section(config, "oracle")
    kind = str(oracle.get("kind", "?"))
    if kind == "none":
        return (
            "There was no oracle: what is called a label here is the surrogate's own prediction, "
            "as in the published one-pass system."
        )
    f = summary.funnel
    counted = f"{f.verified} labels, {f.failed} given up after retries"
    stages: list[Mapping[str, Any]] = [oracle, *(oracle.get("then") or ())]
    *cheap, last = stages
    if not cheap:
        return f"The chosen were verified by {_oracle(last)}: {counted}."
    before = ", then ".join(_oracle(stage) for stage in cheap)
    best = f"the best of them, up to {last.get('budget', '?')} per round"
    return (
        f"The chosen were labelled by {before}; {best}, were verified by {_oracle(last)}: "
        f"{counted}. Only these are called verified."
    )


def _oracle(stage: Mapping[str, Any]) -> str:
    """A stage's method, and on which structures it was used."""
    kind, settings = str(stage.get("kind", "?")), _section(stage, "settings")
    name = _ORACLES.get(kind, kind)
    if kind == "ase":
        version = f"; {settings['version']}" if settings.get("version") else ""
        name = f"{settings.get('calculator', 'an ASE calculator')} (ASE{version})"
    elif kind == "xtb":
        name = f"{settings.get('method', 'GFN1-xTB')} (tblite)"
    elif kind == "external":
        name = f"{settings.get('method', 'calculations elsewhere')}, imported"
    if kind in ("xtb", "ase"):
        name += " on relaxed structures" if settings.get("relax") else " on ideal structures"
    return name


def _learning(summary: CampaignSummary, config: Mapping[str, Any]) -> str:
    adapter, learn = _section(config, "adapter"), _section(config, "learn")
    after = "every round" if learn.get("last_round", True) else "every round but the last"
    again = f"The surrogate was refitted to everything labelled after {after}"
    if proposer_of(summary.campaign) not in ("llm", "hybrid"):
        return f"{again}."
    rank = f"rank {adapter.get('rank', '?')}, learning rate {adapter.get('learning_rate', '?')}"
    taught = _distilling(learn)
    if _section(config, "proposer").get("feedback") is False:
        return f"{again}; the adapter ({rank}) was trained once, before the first round.{taught}"
    begun = "on from the one before"
    if learn.get("start_from", "base") == "base":
        begun = "anew from the base"
    return (
        f"{again}, and the adapter ({rank}) trained {begun}: every verified candidate became an "
        f"instruction with the properties that it really has.{taught}"
    )


def _distilling(learn: Mapping[str, Any]) -> str:
    """What the surrogate taught the model, where it did."""
    if not learn.get("distil"):
        return ""
    return (
        f" Each time up to {learn['distil']} unlabelled configurations were taught beside them "
        "with the surrogate's values (distillation, Hinton et al. 2015): those that it found "
        "nearest to the targets, of ten times as many (half of them random, the others neighbours "
        "of the best so far), with a weight of "
        f"{learn.get('unverified_weight', '?')}."
    )
