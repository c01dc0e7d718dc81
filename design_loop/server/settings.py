"""What `design-loop serve` reads: the models' settings, and the section ``campaigns``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from serve.config import ServeConfig, load_sections

SECTION = "campaigns"


class CampaignsSettings(BaseModel):
    """Which campaigns are served, and what those that are started over HTTP may name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workdir: Path = Field(Path("runs"), description="folder of campaigns and their ledger")
    store: str | None = Field(
        None, description="ledger: a file or postgresql://...; by default in the work folder"
    )
    max_running: int = Field(
        1, ge=0, le=1000, description="campaigns of this server that run at a time; 0 starts none"
    )
    max_rounds: int = Field(100, ge=1, description="most rounds of a campaign, extensions included")
    max_samples: int = Field(20_000, ge=1, description="most samples per round")
    max_budget: int = Field(1000, ge=1, description="most oracle calls per round")
    bases: dict[str, str] = Field(
        default_factory=lambda: {"small": "small"},
        description="base models that a request may name: name -> folder or name on Hugging Face",
    )
    datasets: dict[str, str] = Field(
        default_factory=dict,
        description="datasets besides the shipped ones that a request may name: name -> folder",
    )
    hosts: dict[str, str] = Field(
        default_factory=dict,
        description="hosts besides the built-in ones that a request may name: name -> CIF file",
    )
    max_download_bytes: int = Field(
        500_000_000, ge=1000, description="most bytes of a download's files"
    )

    @property
    def ledger(self) -> str:
        """Address of the ledger."""
        return self.store or str(self.workdir / "ledger.sqlite")

    def resolved_against(self, folder: Path) -> CampaignsSettings:
        """The same with absolute paths; relative ones start at `folder`."""

        def absolute(value: str) -> str:
            path = Path(value).expanduser()
            # A name on Hugging Face, or of a shipped dataset, is no folder here and stays a name.
            return str(folder / path) if path.is_absolute() or (folder / path).exists() else value

        store = self.store
        if store is not None and "://" not in store:
            store = str(folder / Path(store).expanduser())
        return self.model_copy(
            update={
                "workdir": folder / self.workdir.expanduser(),
                "store": store,
                "bases": {name: absolute(value) for name, value in self.bases.items()},
                "datasets": {name: absolute(value) for name, value in self.datasets.items()},
                "hosts": {n: str(folder / Path(v).expanduser()) for n, v in self.hosts.items()},
            }
        )


@dataclass(frozen=True)
class ServerSettings:
    """Everything that one address serves.

    Attributes
    ----------
    serve : ServeConfig
        The models.
    campaigns : CampaignsSettings or None
        None serves no campaigns.
    """

    serve: ServeConfig
    campaigns: CampaignsSettings | None


def load_server(path: Path) -> ServerSettings:
    """Read a serve configuration; campaigns are served if it has the section ``campaigns``.

    Raises
    ------
    ConfigError
        See `serve.config.load_sections`.
    """
    serve, sections = load_sections(path, {SECTION: CampaignsSettings})
    campaigns = sections.get(SECTION)
    if campaigns is not None:
        campaigns = campaigns.resolved_against(path.resolve().parent)
    return ServerSettings(serve, campaigns)
