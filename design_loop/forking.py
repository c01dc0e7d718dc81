"""A new campaign from an old one's data: other targets, the same crystal and the same physics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from defects.errors import ConfigError
from defects.targets import meets_all
from design_loop.config import CampaignConfig
from design_loop.config.loading import check_campaign
from design_loop.ledger import Campaign, Inherited, Ledger, Source
from design_loop.steering import current_config


@dataclass(frozen=True)
class Forked:
    """A fork that was made.

    Attributes
    ----------
    campaign : str
        Its id.
    labels : int
        How many it took over from the parent.
    hits : int
        How many of those meet its targets already.
    """

    campaign: str
    labels: int
    hits: int


def with_targets(
    config: CampaignConfig, targets: Sequence[str], name: str | None
) -> CampaignConfig:
    """The same campaign with other targets.

    Raises
    ------
    CampaignFileError
        The targets cannot be read, contradict the rest, or have no labels.
    """
    content = config.model_dump(mode="json")
    content["targets"] = list(targets)
    content["name"] = name or f"{config.name[:59]}-fork"
    # These were said for the old targets; by default both follow the targets.
    content["surrogate"]["properties"] = None
    content["selection"]["max_std"] = {}
    # Its paths are absolute; the folder only says that datasets and models are to be looked at.
    return check_campaign(content, "the fork", Path.cwd())


def fork_campaign(
    ledger: Ledger,
    parent: str,
    config: CampaignConfig,
    workdir: str | Path,
    *,
    keep_models: bool = False,
) -> Forked:
    """Record a fork. Nothing runs yet: `resume` begins it.

    Parameters
    ----------
    ledger : Ledger
    parent : str
        Running or not.
    config : CampaignConfig
        Of the new campaign.
    workdir : str or Path
        Where its folder will be.
    keep_models : bool
        Begin with the parent's last adapter and surrogate instead of making the first ones anew.

    Raises
    ------
    ConfigError
        Host or oracle differ, so that the labels say nothing of the new campaign; or a model to be
        kept does not fit the new targets.
    """
    from design_loop.campaign.context import load_data, settled
    from design_loop.campaign.inherit import with_inherited
    from design_loop.oracle_plan import oracle_stages

    found = ledger.campaign(parent)
    before = current_config(ledger, found.id)
    _check_same_physics(found, before, config)
    stages = oracle_stages(before)
    first = before.learn.stage == "first" and len(stages) > 1
    source = stages[0].source if first else Source.ORACLE
    kept = _models_to_keep(ledger, found.id, before, config) if keep_models else {}
    known = [
        *ledger.inherited(found.id),
        *(
            Inherited(x.candidate, x.configuration, x.properties, x.oracle_key, found.id)
            for x in ledger.labels(found.id, source)
        ),
    ]
    # Errors are counted in units that may depend on what is known, so this is settled once.
    config = settled(config, with_inherited(load_data(config), known))
    made = ledger.fork_campaign(found.id, config, workdir, source=source, **kept)
    inherited = ledger.inherited(made)
    hits = sum(meets_all(config.targets, label.properties) for label in inherited)
    ledger.event(made, f"forked from {found.id}: {len(inherited)} labels, {hits} meet all targets")
    return Forked(made, len(inherited), hits)


def _check_same_physics(parent: Campaign, before: CampaignConfig, config: CampaignConfig) -> None:
    """Labels hold for one crystal and one method."""
    if config.host != before.host:
        ours, theirs = (
            f"{h.name} {'x'.join(map(str, h.supercell))}" for h in (config.host, before.host)
        )
        raise ConfigError(
            f"{parent.id}: its labels are of {theirs}, the new campaign is of {ours}; start a new "
            "one with `campaign run`"
        )
    methods = [[(call.kind, call.settings) for call in c.oracle.calls] for c in (before, config)]
    if methods[0] != methods[1]:
        raise ConfigError(
            f"{parent.id}: its oracle is another one or has other settings, so its labels cannot "
            "be mixed with new ones; keep the oracle, or start a new campaign with `campaign run`"
        )


def _models_to_keep(
    ledger: Ledger, parent: str, before: CampaignConfig, config: CampaignConfig
) -> dict[str, str]:
    """Names of the parent's last models, if the fork can use them."""
    surrogates, adapters = ledger.surrogates(parent), ledger.adapters(parent)
    if not surrogates:
        raise ConfigError(f"{parent}: it has made no models yet; fork without --keep-models")
    kept = {"surrogate": surrogates[-1].version}
    lacking = sorted(set(config.surrogate_properties) - set(surrogates[-1].manifest["properties"]))
    if lacking:
        raise ConfigError(
            f"{parent}: its surrogate does not predict {', '.join(lacking)}; fork without "
            "--keep-models, then a new one is fitted to all labels"
        )
    unseen = sorted(set(config.rules.defects) - set(surrogates[-1].manifest["encoder"]["defects"]))
    if unseen:
        raise ConfigError(
            f"{parent}: its surrogate knows nothing of {', '.join(unseen)}, which the new rules "
            "allow; fork without --keep-models, then a new one is fitted to all labels"
        )
    if not config.proposer.needs_model:
        return kept
    if not adapters:
        raise ConfigError(
            f"{parent}: it has no adapter, its proposer was {before.proposer.kind}; fork without "
            "--keep-models"
        )
    facts = adapters[-1].manifest
    asked = {t.property for t in config.targets}
    if (
        config.base_model != before.base_model
        or facts.get("instruction_format", before.generation.format) != config.generation.format
        or not asked <= set(facts.get("properties", ()))
    ):
        raise ConfigError(
            f"{parent}: its adapter was trained on {before.base_model} for "
            f"{', '.join(facts.get('properties', ()))} in the {before.generation.format} format, "
            "the fork asks for something else; fork without --keep-models"
        )
    return kept | {"adapter": adapters[-1].name}
