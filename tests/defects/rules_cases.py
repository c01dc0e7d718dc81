"""Random rules for property tests, and what they mean by brute force."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import strategies as st

from defects.hosts import get_host
from defects.rules import Rules

#: Small enough to enumerate: 8, 12 and 27 sites.
SMALL = ("hBN", "2x2"), ("MoS2", "2x2"), ("MoS2", "3x3")
KINDS = {"hBN": ("V_B", "V_N", "C_N"), "MoS2": ("V_S", "Se_S", "W_Mo")}


@st.composite
def cases(draw, hosts=SMALL):
    """A host with rules that speak of it; not always such that something keeps them."""
    name, cell = draw(st.sampled_from(hosts))
    host, kinds = get_host(name, cell), KINDS[name]
    labels = [f"{e}{i}" for i, e in enumerate(host.unit_species)]
    low = draw(st.integers(1, 3))
    data = {"defects": kinds, "min_defects": low, "max_defects": draw(st.integers(low, 4))}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(kinds))
        element = kind.split("_")[1]
        mine = [x for x in labels if x.startswith(element)]
        data["where"] = {
            draw(st.sampled_from((kind, element))): draw(st.sampled_from(["top", "bottom", *mine]))
        }
    if draw(st.booleans()):
        few = draw(st.integers(0, 2))
        data["counts"] = {draw(st.sampled_from(kinds)): [few, draw(st.integers(few, 3))]}
    if draw(st.booleans()):
        group = draw(st.sampled_from(["all", *sorted(set(host.species)), *labels]))
        least = draw(st.sampled_from((0.0, 0.1)))
        data["concentration"] = {group: [least, draw(st.sampled_from((0.15, 0.3, 1.0)))]}
    if draw(st.booleans()):
        data["min_separation"] = draw(
            st.sampled_from((2.0, 3.3, 5.0, {f"{kinds[0]}-{kinds[0]}": 4.0}))
        )
    if draw(st.booleans()):
        data["frozen"] = [0, {"around": host.site_label(host.n_sites - 1), "within": 1.0}]
    if draw(st.booleans()):
        species = {"V": "VAC"}.get(kinds[0].split("_")[0], kinds[0].split("_")[0])
        sites = [s for s, e in enumerate(host.species) if e == kinds[0].split("_")[1]]
        data["seeds"] = [f"{host.site_label(s)} {species}" for s in sites[1:3]]
    try:
        return host, Rules.model_validate(data)
    except ValueError:  # counts that contradict the number
        data.pop("counts", None)
        return host, Rules.model_validate(data)


def placements(host, rules, most=4):
    """Every set of changes of the allowed defects, as placed."""
    options = rules.plain.options(host)
    for n in range(1, most + 1):
        for sites in combinations(options, n):
            for species in product(*(options[s] for s in sites)):
                yield dict(zip(sites, species, strict=True))
