"""Python client of the HTTP API.

>>> from design_loop.client import Client                                    # doctest: +SKIP
>>> with Client("http://127.0.0.1:8000", api_key="dl_...") as client:        # doctest: +SKIP
...     answer = client.design(
...         "MoS2", "4x4", ["V_S", "Se_S"], ["homo_lumo_gap=0.6..0.9"], model="base:r001-..."
...     )
...     for candidate in answer.candidates:
...         print(candidate["description"], candidate["prediction"]["mean"])
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import yaml

from defects.errors import ModelError
from defects.hosts import parse_supercell
from serve.client import Completion, RemotePredictions, ServeClient

if TYPE_CHECKING:
    from defects.configuration import Configuration
    from defects.targets import Target

__all__ = ["Client", "Completion", "Design", "RemotePredictions"]


@dataclass(frozen=True)
class Design:
    """Answer of `Client.design`.

    Attributes
    ----------
    candidates : list of dict
        Best first: ``rank, key, description, configuration, structure, asked, prediction (mean,
        std, ood), surrogate_error, probability, samples, duplicate_of``.
    drops : dict
        Reason -> samples that are in no candidate.
    samples, tokens : int
        What was drawn.
    model, surrogate_version : str
    adapter : str or None
    properties : tuple of str
        What the surrogate predicts.
    """

    candidates: list[dict[str, Any]]
    drops: dict[str, int]
    samples: int
    tokens: int
    model: str
    adapter: str | None
    surrogate_version: str
    properties: tuple[str, ...]


class Client(ServeClient):
    """`serve.client.ServeClient` with the domain's requests; see there for its parameters."""

    def design(
        self,
        host: str,
        supercell: str | Sequence[int],
        defects: Sequence[str],
        targets: Sequence[str | Target],
        *,
        model: str = "base",
        count: int = 10,
        min_defects: int = 1,
        max_defects: int = 6,
        rules: Mapping[str, Any] | None = None,
        known: Iterable[Configuration | dict[str, Any]] = (),
        **options: Any,
    ) -> Design:
        """Candidates for targets, best first.

        Parameters
        ----------
        host : str
            Name of a host that the server knows.
        supercell : str or sequence of int
            ``"4x4"``.
        defects : sequence of str
            Allowed defects: ``V_S``, ``Se_S``.
        targets : sequence of str or Target
            ``"homo_lumo_gap=0.6..0.9"``.
        model : str
            ``base`` or ``base:ADAPTER``; see `models`.
        rules : mapping, optional
            Further rules: ``where, counts, concentration, min_separation, frozen, seeds`` of
            `defects.rules.Rules`.
        known : iterable
            Configurations that are known; candidates equal to one under symmetry are dropped.
        **options
            ``samples, format, constrained, temperature, top_p, seed, structure, duplicates`` of
            POST /v1/design.

        Raises
        ------
        ModelError
            The request was refused, or no answer came after all tries.
        """
        body = {
            "model": model,
            "host": host,
            "supercell": list(parse_supercell(supercell)),  # type: ignore[arg-type]
            "rules": {
                "defects": list(defects),
                "min_defects": min_defects,
                "max_defects": max_defects,
                **(rules or {}),
            },
            "targets": [t if isinstance(t, str) else _plain(t) for t in targets],
            "count": count,
            "known": [c if isinstance(c, dict) else c.to_dict() for c in known],
            **options,
        }
        answer = self._post("/v1/design", body)
        return Design(**{**answer, "properties": tuple(answer["properties"])})

    def predict_structures(
        self, host: str, supercell: str | Sequence[int], files: Iterable[str | Path]
    ) -> list[dict[str, Any]]:
        """Predictions for CIF files: ``file, configuration, mean, std, ood`` of each.

        Raises
        ------
        ModelError
            A file is no plain CIF of the host, or no answer came after all tries.
        OSError
            A file cannot be read.
        """
        paths = [Path(file) for file in files]
        body = {
            "host": host,
            "supercell": list(parse_supercell(supercell)),  # type: ignore[arg-type]
            "structures": [{"cif": path.read_text(encoding="utf-8")} for path in paths],
        }
        answer = self._post("/v1/predict", body)
        rows = zip(paths, answer["configurations"], answer["predictions"], strict=True)
        return [{"file": str(p), "configuration": c, **found} for p, c, found in rows]

    # -- campaigns

    def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns of the server, the newest first: ``id, name, state, asked, driven, ...``.

        ``driven`` is false for a running campaign whose driver died; `resume_campaign` goes on.
        """
        return self._request("GET", "/v1/campaigns", None)["data"]

    def campaign(self, name: str) -> dict[str, Any]:
        """Where a campaign stands, round by round, what was added to it, its lineage.

        Raises
        ------
        ModelError
            There is none of this id (HTTP 404).
        """
        return self._request("GET", _campaign(name), None)

    def start_campaign(self, campaign: Mapping[str, Any] | str | Path) -> str:
        """Start a campaign on the server and return its id.

        Parameters
        ----------
        campaign : mapping, str or Path
            Content of a campaign file, or the file. Hosts, datasets and base models go by the names
            that the server knows them by; what is the server's own (serving, resources) is left
            out.

        Raises
        ------
        ModelError
            Refused, with every problem; or as many campaigns run as may (HTTP 429, after all
            tries).
        OSError
            The file cannot be read.
        """
        if not isinstance(campaign, Mapping):
            text = Path(campaign).read_text(encoding="utf-8")
            campaign = yaml.safe_load(text)
        # Sent once: a second one would start a second campaign.
        return self._post("/v1/campaigns", dict(campaign), again=False)["id"]

    def pause_campaign(self, name: str) -> dict[str, Any]:
        """Ask for a pause: ``id, state, asked, message``; see `wait_campaign`.

        Raises
        ------
        ModelError
            There is nothing to pause (HTTP 409).
        """
        return self._post(f"{_campaign(name)}/pause", None)

    def stop_campaign(self, name: str) -> dict[str, Any]:
        """Ask for an end; as `pause_campaign`."""
        return self._post(f"{_campaign(name)}/stop", None)

    def resume_campaign(self, name: str) -> dict[str, Any]:
        """Go on, or take back what has not come into effect yet; as `pause_campaign`."""
        return self._post(f"{_campaign(name)}/resume", None)

    def extend_campaign(
        self,
        name: str,
        *,
        rounds: int | None = None,
        budget: int | None = None,
        stage: int | None = None,
    ) -> dict[str, Any]:
        """Add rounds, or change the oracle calls of each round that comes; as `pause_campaign`.

        `stage` says whose calls, where the oracle has several; the first one's unless given.
        """
        given = {"rounds": rounds, "budget": budget, "stage": stage}
        body = {key: value for key, value in given.items() if value is not None}
        return self._post(f"{_campaign(name)}/extend", body)

    def wait_campaign(
        self, name: str, *, timeout_s: float = 86_400.0, every_s: float = 5.0
    ) -> dict[str, Any]:
        """Wait until a campaign has come to a halt, well or badly, and return where it stands.

        Raises
        ------
        ModelError
            It runs on after `timeout_s`, or nobody drives it any more.
        """
        end = time.monotonic() + timeout_s
        undriven = 0
        while True:
            found = self.campaign(name)
            if found["state"] not in ("created", "running"):
                return found
            # A driver needs a while to begin, and may give its lease back this very moment.
            undriven = 0 if found["driven"] else undriven + 1
            if undriven > max(3, 60 / every_s):
                raise ModelError(f"{name} is {found['state']}, but nobody drives it; resume it")
            if time.monotonic() > end:
                raise ModelError(f"{name} still runs after {timeout_s:g} s")
            self._sleep(every_s)

    def candidates(self, name: str, *, hits: bool = False) -> list[dict[str, Any]]:
        """All labelled candidates of a campaign, the best first."""
        found: list[dict[str, Any]] = []
        query = f"?hits={str(hits).lower()}&limit=1000"
        after = ""
        while True:
            page = self._request("GET", f"{_campaign(name)}/candidates{query}{after}", None)
            found += page["data"]
            if page["next"] is None:
                return found
            after = f"&after={quote(page['next'], safe='')}"

    def download_campaign(
        self,
        name: str,
        out: str | Path,
        *,
        format: str = "cif",
        hits: bool = False,
        top: int = 1000,
    ) -> Path:
        """Write a zip of structures, their table and the report; whole or not at all.

        Raises
        ------
        ModelError
            There is nothing to download (HTTP 409), or more than the server sends (413).
        """
        path, query = Path(out), {"format": format, "hits": str(hits).lower(), "top": str(top)}
        part = path.with_name(f".{os.getpid()}.{path.name}")
        url = f"{_campaign(name)}/download"
        try:
            with self._http.stream("GET", url, params=query) as reply:
                if reply.status_code != 200:
                    reply.read()
                    said = reply.json()["error"]["message"]
                    raise ModelError(f"{url} was refused, HTTP {reply.status_code}: {said}")
                with part.open("wb") as file:
                    for piece in reply.iter_bytes():
                        file.write(piece)
            part.replace(path)
        except httpx.TransportError as error:
            raise ModelError(f"{url}: {type(error).__name__}: {error}") from error
        finally:
            part.unlink(missing_ok=True)
        return path


def _campaign(name: str) -> str:
    return f"/v1/campaigns/{quote(name, safe='')}"


def _plain(target: Target) -> dict[str, Any]:
    return target.model_dump(exclude_defaults=True)
