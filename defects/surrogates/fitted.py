"""A fitted surrogate, read from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import Host
from defects.surrogates.base import Predictions
from defects.surrogates.blas import blas_threads
from defects.surrogates.encoded import Encoded
from defects.surrogates.folder import read_manifest
from defects.surrogates.property_model import PropertyModel


def host_to_dict(host: Host) -> dict[str, Any]:
    """A host as plain data, from which `host_from_dict` builds it without any other file."""
    return {
        "key": host.key,
        "name": host.name,
        "supercell": list(host.supercell),
        "unit_lattice": np.asarray(host.unit_lattice).tolist(),
        "unit_species": list(host.unit_species),
        "unit_frac_coords": np.asarray(host.unit_frac_coords).tolist(),
        "chemical_potentials": host.chemical_potentials,
        "pristine": host.pristine,
    }


def host_from_dict(data: dict[str, Any]) -> Host:
    """Inverse of `host_to_dict`.

    Raises
    ------
    ModelError
        When the data describes no host, or not the one that its key names.
    """
    try:
        nx, ny, nz = (int(n) for n in data["supercell"])
        host = Host(
            str(data["name"]),
            (nx, ny, nz),
            np.array(data["unit_lattice"], dtype=float),
            tuple(data["unit_species"]),
            np.array(data["unit_frac_coords"], dtype=float),
            dict(data["chemical_potentials"]),
            dict(data["pristine"]),
        )
        key = data["key"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the manifest describes no host: {error!r}") from error
    if host.key != key:
        raise ModelError(f"the manifest's host is {host.key}, not {key}; train the surrogate again")
    return host


class FittedSurrogate:
    """The models of all properties of one surrogate folder.

    Attributes
    ----------
    manifest : dict
        What was trained on what, with which figures.
    host : Host
    properties : tuple of str
    version : str
        Content hash of the folder.
    threads : int
        Threads per prediction.
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        models: list[PropertyModel],
        encoder: SparseEncoder,
        threads: int = 1,
    ) -> None:
        self.manifest = manifest
        self.models = models
        self.encoder = encoder
        self.host = encoder.host
        self.threads = threads

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.models)

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    @property
    def host_key(self) -> str:
        return self.host.key

    def predict(self, configurations: Sequence[Configuration]) -> Predictions:
        """Predict all properties.

        Raises
        ------
        ModelError
            When a configuration is on another host or has a defect that no label had.
        """
        batch = Encoded(configurations, self.encoder)
        mean = np.empty((len(batch), len(self.models)))
        std = np.empty_like(mean)
        if len(batch):
            with blas_threads(self.threads):
                for column, model in enumerate(self.models):
                    mean[:, column], std[:, column] = model.predict(batch, self.threads)
        return Predictions(mean, std, self.properties, self.out_of_distribution(batch))

    def out_of_distribution(self, batch: Encoded) -> np.ndarray:
        """Configurations outside the domain of the labels, shape (n,); see `Predictions.ood`."""
        domain = self.manifest["domain"]
        most = np.array([domain["counts"].get(d, 0) for d in self.encoder.defects])
        number = batch.counts.sum(axis=1)
        # Folders of older versions name no smallest number.
        outside = (number < domain.get("min_defects", 0)) | (number > domain["max_defects"])
        return outside | (batch.counts > most).any(axis=1)


def load_surrogate(folder: str | Path, threads: int = 1) -> FittedSurrogate:
    """Load a finished surrogate folder.

    Parameters
    ----------
    folder : path
    threads : int
        Threads that one prediction may use.

    Raises
    ------
    ModelError
        When the folder is missing, unfinished, altered, or CatBoost is not installed.
    """
    root = Path(folder)
    manifest = read_manifest(root)
    try:
        encoder = SparseEncoder.from_spec(manifest["encoder"], host_from_dict(manifest["host"]))
        folders = {name: entry["folder"] for name, entry in manifest["properties"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{root} has an incomplete manifest: {error!r}") from error
    models = [PropertyModel.load(root / sub, encoder) for sub in folders.values()]
    if not models:
        raise ModelError(f"{root} predicts no property")
    return FittedSurrogate(manifest, models, encoder, threads)
