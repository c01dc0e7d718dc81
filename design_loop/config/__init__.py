"""Campaign files: a typed schema, and a loader that says on which line something is wrong."""

from design_loop.config.campaign import CampaignConfig
from design_loop.config.loading import (
    load_campaign,
    load_preset,
    parse_campaign,
    preset_names,
    preset_path,
)
from design_loop.config.oracle import OracleConfig, OracleStage
from design_loop.config.problems import CampaignFileError, Problem
from design_loop.config.properties import OwnProperty
from design_loop.config.proposer import PROPOSER_KINDS, ProposerConfig
from design_loop.config.sections import (
    AdapterConfig,
    GenerationConfig,
    HostConfig,
    LearnConfig,
    ResourcesConfig,
    SurrogateConfig,
)
from design_loop.config.selection import SelectionConfig
from design_loop.config.tracking import TrackingConfig

__all__ = [
    "PROPOSER_KINDS",
    "AdapterConfig",
    "CampaignConfig",
    "CampaignFileError",
    "GenerationConfig",
    "HostConfig",
    "LearnConfig",
    "OracleConfig",
    "OracleStage",
    "OwnProperty",
    "Problem",
    "ProposerConfig",
    "ResourcesConfig",
    "SelectionConfig",
    "SurrogateConfig",
    "TrackingConfig",
    "load_campaign",
    "load_preset",
    "parse_campaign",
    "preset_names",
    "preset_path",
]
