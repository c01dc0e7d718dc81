from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings.bonds import bonded, neighbours
from defects.encodings.slices import SlicesEncoder, slices_encoder, slices_of_structure
from defects.hosts import Host, get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.structures import to_structure

#: Host, supercell, defects, most of them: also so many vacancies that bonds reach far, cells that
#: are smaller than a bond's reach, and layers on top of each other.
CASES = [
    ("MoS2", (4, 4, 1), ("V_Mo", "V_S", "W_Mo", "Se_S"), 12),
    ("MoS2", (3, 3, 1), ("V_Mo", "V_S"), 24),
    ("MoS2", (2, 2, 1), ("V_Mo", "V_S"), 8),
    ("hBN", (4, 3, 1), ("V_B", "V_N", "C_B"), 8),
    ("hBN", (1, 2, 2), ("V_B", "V_N"), 5),
    ("GaSe", (3, 3, 1), ("V_Ga", "V_Se", "S_Se"), 10),
    ("InSe", (2, 1, 1), ("V_In", "V_Se"), 4),
    ("BP", (3, 2, 1), ("V_P", "N_P"), 10),
]


def edges_of(text: str) -> set[tuple[str, ...]]:
    words = text.split(" ")
    n = next(i for i, w in enumerate(words) if w.isdigit())
    return {tuple(words[i : i + 5]) for i in range(n, len(words), 5)}


@pytest.mark.parametrize(("name", "size", "defects", "most"), CASES)
def test_patched_string_equals_the_full_one(
    name: str, size: tuple[int, int, int], defects: tuple[str, ...], most: int
) -> None:
    host = get_host(name, size)
    encoder, rules = SlicesEncoder(host), Rules(defects=defects, max_defects=most)
    rng = np.random.default_rng(5)
    for n in (most, most, max(1, most // 2), 1):
        configuration = random_configuration(host, rules, rng, n)
        full = slices_of_structure(to_structure(configuration.canonical()))
        assert encoder.encode(configuration) == full


def test_patched_8x8_cell_equals_the_full_one() -> None:
    """The cell of the published dataset: three vacancies that touch."""
    host = get_host("MoS2", (8, 8, 1))
    near = np.argsort(host.distances[host.site_of_label["S1 0 0"]])
    changes = {int(near[0]): "VAC", int(near[1]): "VAC", int(near[2]): "VAC", 100: "Se"}
    configuration = Configuration.from_changes(host, changes)
    full = slices_of_structure(to_structure(configuration.canonical()))
    assert slices_encoder(host).encode(configuration) == full
    assert len(full.split(" ")) > 2000


def test_pristine_unit_cells_by_hand() -> None:
    """h-BN: three bonds, one inside the cell; the example of a labelled quotient graph."""
    host = get_host("hBN", (1, 1, 1))
    text = SlicesEncoder(host).encode_as_is({})
    assert text.startswith("B N 0 1 ")
    assert len(edges_of(text)) == 3
    assert ("0", "1", "o", "o", "o") in edges_of(text)
    mos2 = SlicesEncoder(get_host("MoS2", (1, 1, 1))).encode_as_is({})
    assert mos2.startswith("Mo S S 0 1 ")
    assert len(edges_of(mos2)) == 6


def test_vacancies_add_bonds_and_substitutions_do_not() -> None:
    """So masking the host's bonds is not exact, which is why affected sites are looked at anew."""
    host = get_host("MoS2", (3, 3, 1))
    encoder = SlicesEncoder(host)
    pristine = encoder.encode_as_is({})
    sulphur = [s for s, e in enumerate(host.species) if e == "S"]
    swapped = encoder.encode_as_is(dict.fromkeys(sulphur, "Se"))
    assert edges_of(swapped) == edges_of(pristine)
    assert swapped.split(" ")[9:27] == ["Se"] * 18
    # One S of the top layer keeps only one of its three Mo.
    s = host.site_of_label["S1 1 1"]
    vacant = sorted(np.flatnonzero(host.sublattice == 0), key=lambda m: host.distances[s, m])[:2]
    text = encoder.encode_as_is(dict.fromkeys(map(int, vacant), "VAC"))
    names = {old: str(new) for new, old in enumerate(i for i in range(27) if i not in vacant)}
    mine = {e for e in edges_of(text) if names[s] in e[:2]}
    partners = {next(w for w in e[:2] if w != names[s]) for e in mine}
    assert partners - {names[m] for m in range(9) if m in names}


@pytest.mark.parametrize(("size", "vacant"), [((2, 2, 1), (0, 1, 2, 5)), ((1, 1, 1), (0,))])
def test_reference_has_the_bonds_of_pymatgens_graph(
    size: tuple[int, int, int], vacant: tuple[int, ...]
) -> None:
    """Also where a site is bonded to one that is not bonded to it, or to its own image."""
    from pymatgen.analysis.graphs import StructureGraph
    from pymatgen.analysis.local_env import EconNN

    host = get_host("MoS2", size)
    structure = to_structure(Configuration.from_changes(host, dict.fromkeys(vacant, "VAC")))
    graph = StructureGraph.from_local_env_strategy(structure, EconNN())
    expected = {
        (str(i), str(j), *("-o+"[int(np.sign(n)) + 1] for n in image))
        for i, j, image in graph.graph.edges(data="to_jimage")
    }
    assert edges_of(slices_of_structure(structure)) == expected
    assert (size != (1, 1, 1)) or any(e[0] == e[1] for e in expected)


def test_bonds_by_hand() -> None:
    found, mean = bonded([2.0, 2.0, 3.3])
    assert found == [0, 1]
    assert mean == pytest.approx(2.0, abs=0.01)
    assert bonded([3.3, 3.4])[0] == [0, 1]
    assert bonded([]) == ([], 0.0)


def test_string_is_of_the_canonical_configuration() -> None:
    host = get_host("MoS2", (4, 4, 1))
    encoder = SlicesEncoder(host)
    one = Configuration.from_changes(host, {20: "VAC", 33: "Se"})
    images = [one.transform(g) for g in host.symmetry[::17]]
    assert len({encoder.encode_as_is(c.changes) for c in images}) > 1
    assert {encoder.encode(c) for c in images} == {encoder.encode(one)}
    assert encoder.tokens(one) == encoder.encode(one).split(" ")


def test_coordinates_outside_the_cell() -> None:
    """A CIF file may have them; which cell a bond leads to counts from where an atom is written."""
    hbn = get_host("hBN", (1, 1, 1))
    frac = hbn.unit_frac_coords + np.array([[0.8, -1.1, 0.0], [0.0, 0.0, 0.0]])
    frac[0] = [-2 / 3, 5 / 3, hbn.unit_frac_coords[0, 2]]
    host = Host("shifted", (3, 2, 1), hbn.unit_lattice, hbn.unit_species, frac)
    configuration = Configuration.from_changes(host, {2: "VAC", 7: "C"})
    full = slices_of_structure(to_structure(configuration))
    assert SlicesEncoder(host).encode_as_is(configuration.changes) == full


def test_neighbours_within_the_cutoff() -> None:
    host = get_host("MoS2", (8, 8, 1))
    table = neighbours(host)
    for site in (0, 70, 191):
        atom = int(host.sublattice[site])
        expected = np.sort(host.distances[site])
        expected = expected[(expected > 0) & (expected < 7)]
        got = np.array(table.distances[atom])
        np.testing.assert_allclose(got[got < 7], expected, atol=1e-6)
        assert table.near[atom] < len(table.distances[atom])


def test_memory_of_environments_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = get_host("MoS2", (4, 4, 1))
    rules = Rules(defects=("V_Mo", "V_S"), max_defects=6)
    rng = np.random.default_rng(2)
    some = [random_configuration(host, rules, rng) for _ in range(20)]
    expected = [SlicesEncoder(host).encode(c) for c in some]
    warm = SlicesEncoder(host)
    assert [warm.encode(c) for c in some + some][20:] == expected
    assert len(warm._known) > 3
    monkeypatch.setattr("defects.encodings.slices.REMEMBERED", 3)
    short = SlicesEncoder(host)
    assert [short.encode(c) for c in some] == expected
    assert len(short._known) == 3
