"""The graph network: invariant whatever its weights, and read only as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from defects.encodings.frames import neighbour_table
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.surrogates.encoded import Encoded

torch = pytest.importorskip("torch")

from defects.surrogates.graph_model import GraphModel  # noqa: E402
from defects.surrogates.graph_network import GraphNetwork, GraphShape  # noqa: E402

CASES = {
    "MoS2": ((3, 3, 1), ("V_Mo", "V_S", "W_Mo")),
    "BP": ((3, 2, 1), ("V_P", "N_P")),
    "GaSe": ((2, 2, 1), ("V_Ga", "V_Se")),
}


def random_model(name: str) -> GraphModel:
    """Two networks of random weights, none of them zero."""
    size, defects = CASES[name]
    encoder = SparseEncoder(get_host(name, size), defects)
    shape = GraphShape(seen=8, width=8)
    table = neighbour_table(encoder.host, encoder.defects)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        networks = [GraphNetwork(shape, table, len(defects)).eval() for _ in range(2)]
        for network in networks:
            for layer in (network.out, network.term):
                torch.nn.init.normal_(layer.weight)
    return GraphModel(encoder, shape, networks)


@pytest.mark.parametrize("name", CASES)
def test_equivalent_configurations_get_the_same(name: str) -> None:
    model = random_model(name)
    host, rng = model.encoder.host, np.random.default_rng(2)
    rules = Rules(defects=model.encoder.defects, max_defects=4)
    some = [random_configuration(host, rules, rng) for _ in range(12)]
    images = [c.transform(host.symmetry[rng.integers(len(host.symmetry))]) for c in some]
    found = model.predict(Encoded(some, model.encoder))
    assert model.predict(Encoded(images, model.encoder)) == pytest.approx(found, abs=1e-4)
    assert np.ptp(found) > 0.01


def test_a_prediction_does_not_depend_on_what_else_is_asked() -> None:
    model = random_model("MoS2")
    rng = np.random.default_rng(5)
    rules = Rules(defects=model.encoder.defects, max_defects=5)
    some = [random_configuration(model.encoder.host, rules, rng) for _ in range(6)]
    together = model.predict(Encoded(some, model.encoder))
    alone = [model.predict(Encoded([c], model.encoder))[0] for c in some]
    assert together == pytest.approx(alone, abs=1e-5)


def test_reads_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    model = random_model("MoS2")
    model.save(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}
    rng = np.random.default_rng(7)
    rules = Rules(defects=model.encoder.defects, max_defects=3)
    batch = Encoded(
        [random_configuration(model.encoder.host, rules, rng) for _ in range(5)], model.encoder
    )
    again = GraphModel.load(tmp_path, model.encoder)
    assert again.predict(batch).tolist() == model.predict(batch).tolist()

    with pytest.raises(ModelError, match="no readable graph network"):
        GraphModel.load(tmp_path, SparseEncoder(model.encoder.host, ("V_Mo",)))
    (tmp_path / "network.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(ModelError, match="no readable graph network"):
        GraphModel.load(tmp_path, model.encoder)
    (tmp_path / "network.json").write_text(json.dumps({"shape": {"eval": 1}, "networks": 1}))
    with pytest.raises(ModelError, match="no readable graph network"):
        GraphModel.load(tmp_path, model.encoder)
