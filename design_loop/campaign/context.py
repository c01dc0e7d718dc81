"""What every step of a campaign works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from defects.configuration import Configuration
from defects.datasets import Dataset, resolve_dataset
from defects.errors import ConfigError
from defects.hosts import Host, get_host
from defects.oracles import OracleSpec
from defects.oracles.columns import with_columns
from defects.targets import resolved
from defects.text import Frame, Request, random_frame
from design_loop.campaign.control import Control
from design_loop.campaign.services import Services
from design_loop.config import CampaignConfig
from design_loop.config.properties import dataset_columns
from design_loop.ledger import Label, Ledger, Source
from design_loop.oracle_plan import Stage, oracle_spec, oracle_stages
from design_loop.progress import Progress
from design_loop.proposers import Proposer, make_proposer
from design_loop.proposers.domain import Domain


@dataclass
class Context:
    """A campaign's settings, data and services.

    Attributes
    ----------
    id : str
    config : CampaignConfig
    ledger : Ledger
    folder : Path
        The campaign's own folder: adapters, surrogates, instructions, logs.
    progress : Progress
    services : Services
        The served models.
    dataset : Dataset
        What was known before the campaign.
    control : Control
        What people ask of the campaign while it runs.
    """

    id: str
    config: CampaignConfig
    ledger: Ledger
    folder: Path
    progress: Progress
    services: Services
    dataset: Dataset
    control: Control

    def take_up(self) -> CampaignConfig:
        """Take up what was added to the configuration since the last look."""
        config = self.control.amended()
        if config != self.config:
            self.config = config
            self.progress.campaign_extended(config, self.control.calls())
        return config

    @cached_property
    def host(self) -> Host:
        """The campaign's host, with the dataset's reference energies."""
        return self.dataset.host

    @cached_property
    def proposer(self) -> Proposer:
        """Who proposes candidates."""
        return make_proposer(self.config.proposer)

    @cached_property
    def domain(self) -> Domain:
        """What may be proposed."""
        return Domain.of(self)

    @cached_property
    def training_keys(self) -> frozenset[str]:
        """Classes the dataset holds: proposing them again is no discovery."""
        return frozenset(r.configuration.key for r in self.dataset if r.properties)

    def labels(self, source: Source) -> list[Label]:
        """Labels of this campaign in an order that does not depend on which call ended first.

        Calls run side by side and failed ones are tried again: what is learnt or searched from
        labels in the order of their arrival would differ between two runs of the same seed.
        """
        return sorted(self.ledger.labels(self.id, source), key=lambda x: (x.round, x.candidate))

    def known_properties(self) -> list[Mapping[str, float]]:
        """Property values of everything labelled so far, dataset first."""
        verified = [label.properties for label in self.labels(self.teacher)]
        return [r.properties for r in self.dataset if r.properties] + verified

    def rng(self, number: int, step: int) -> np.random.Generator:
        """Random numbers of one step of one round; the same when the step is run again."""
        return np.random.default_rng([self.config.seed, number, step])

    def request(self, asked: Mapping[str, float], index: int, number: int) -> Request:
        """The request behind a prompt; the frame of the full format follows from its index."""
        frame = Frame()
        if self.config.generation.format == "full":
            frame = random_frame(
                self.host, np.random.default_rng([self.config.seed, number, 77, index])
            )
        own = self.config.own_properties
        return Request(self.host, self.config.rules, dict(asked), frame, own)

    def configuration(self, data: Mapping) -> Configuration:
        """A configuration from the ledger."""
        return Configuration.from_dict(data, self.host)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The oracle's stages, the cheapest first; none without an oracle."""
        return oracle_stages(self.config)

    @property
    def oracle(self) -> OracleSpec:
        """The oracle that sees what is selected, as plain data; with stages the first one."""
        return oracle_spec(self.config, self.config.oracle)

    @property
    def teacher(self) -> Source:
        """Whose labels surrogate and model learn from."""
        first = self.config.learn.stage == "first" and len(self.stages) > 1
        return self.stages[0].source if first else Source.ORACLE


def settled(config: CampaignConfig, dataset: Dataset) -> CampaignConfig:
    """The configuration with what its targets leave to the dataset written out.

    So that every error of a campaign is counted alike, from its first prediction to its report,
    whatever it labels in between. Doing it again changes nothing.
    """
    if len(config.targets) == 1 and config.targets[0].goal is None:
        return config
    known = [r.properties for r in dataset if r.properties]
    return config.model_copy(update={"targets": resolved(config.targets, known)})


def load_data(config: CampaignConfig) -> Dataset:
    """Read the dataset of a campaign completely, before anything is started.

    Raises
    ------
    DatasetError
        It cannot be read.
    OracleError
        A function of an own property fails on it.
    ConfigError
        It is of another host or supercell.
    """
    dataset = with_columns(resolve_dataset(config.dataset), *dataset_columns(config.properties))
    host = get_host(config.host.name, config.host.supercell)
    if dataset.host.key != host.key:
        raise ConfigError(
            f"dataset {config.dataset} is of {dataset.host.key}, the campaign of {host.key}: "
            "name a dataset of that host, or label one with `design-loop data label`"
        )
    return dataset
