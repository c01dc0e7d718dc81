"""A surrogate folder that needs no fit: its version is in manifest.json."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from defects.errors import ModelError


class FakeSurrogate:
    """Predicts minus the number of defects, slowly."""

    properties = ("homo",)

    def __init__(self, version):
        self.version = version

    def predict(self, configurations):
        time.sleep(0.02)

        class Predictions:
            properties = self.properties
            mean = np.array([[-float(c.n_defects)] for c in configurations])
            std = np.full((len(configurations), 1), 0.25)
            ood = np.zeros(len(configurations), dtype=bool)

        return Predictions


def write(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"version": version}))
    return folder


def load(folder: str) -> FakeSurrogate:
    version = json.loads((Path(folder) / "manifest.json").read_text())["version"]
    if version == "broken":
        raise ModelError("the surrogate is damaged")
    return FakeSurrogate(version)
