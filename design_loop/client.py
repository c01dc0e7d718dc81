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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def _plain(target: Target) -> dict[str, Any]:
    return target.model_dump(exclude_defaults=True)
