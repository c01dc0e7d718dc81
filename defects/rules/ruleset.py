"""Rules on a host: what may stand where, what breaks a rule, and which placement keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache

import numpy as np

from defects.configuration import Configuration
from defects.errors import RuleError
from defects.hosts import Host
from defects.rules.groups import groups_of
from defects.rules.names import parse_defect
from defects.rules.places import (
    CLOSE,
    atoms_at,
    frozen_sites,
    parse_seed,
)
from defects.rules.schema import ANY, Rules


class RuleSet:
    """`Rules` with everything looked up on a host; made by `rule_set`.

    An alternative is a site with a kind of defect on it.

    Attributes
    ----------
    kinds : tuple of str
        Defect names, those on one element together.
    site, kind : ndarray of int, shape (n_alternatives,)
        Every alternative of the plain rules, sites ascending.
    allowed : ndarray of bool, shape (n_sites, n_kinds)
        What may stand where, besides the seeds' own defects.
    groups : tuple of Group
        All limits on numbers; the first is the total.
    seeds : tuple of dict
        Changes of every seed; one empty seed where there is none.
    needed : ndarray, shape (n_kinds, n_kinds)
        Least separation of two kinds, Å, with the tolerance taken off.
    """

    def __init__(self, rules: Rules, host: Host) -> None:
        self.rules, self.host = rules, host
        table = rules.allowed()
        self._require_elements()
        pairs = [(was, now) for was, nows in table.items() for now in nows]
        self.kinds = tuple(f"{'V' if now == 'VAC' else now}_{was}" for was, now in pairs)
        self.species = tuple(now for _, now in pairs)
        self._number = {name: i for i, name in enumerate(self.kinds)}
        self._kind_of = {(was, now): i for i, (was, now) in enumerate(pairs)}
        element = np.array(host.species)
        self.possible = np.stack([element == was for was, _ in pairs], axis=1)
        self.site, self.kind = np.nonzero(self.possible)
        self.allowed = self.possible.copy()
        self._apply_where()
        self.frozen = frozen_sites(host, rules.frozen)
        self.allowed[sorted(self.frozen)] = False
        self.seeds = tuple(parse_seed(host, text) for text in rules.seeds) or ({},)
        self._require_seeds()
        self._free = self.allowed[self.site, self.kind]
        self._first = np.searchsorted(self.site, np.arange(host.n_sites + 1)).tolist()
        self.groups = groups_of(rules, host, self.kinds, self.possible)
        self.needed = self._separations()
        #: Whether an operation of the symmetry group may break a rule.
        self.site_specific = bool(
            rules.where
            or rules.frozen
            or rules.seeds
            or any(name[-1].isdigit() for name in rules.concentration)
        )

    def _require_elements(self) -> None:
        for name in self.rules.defects:
            _, was = parse_defect(name)
            if was not in self.host.species:
                raise RuleError(
                    f"{name}: host {self.host.name} has no {was} "
                    f"(it has {', '.join(sorted(set(self.host.species)))})"
                )

    def _apply_where(self) -> None:
        for i, name in enumerate(self.kinds):
            _, was = parse_defect(name)
            for key in (was, name):
                if key in self.rules.where:
                    atoms = atoms_at(self.host, was, self.rules.where[key])
                    self.allowed[:, i] &= np.isin(self.host.sublattice, sorted(atoms))

    def _require_seeds(self) -> None:
        for changes in self.seeds:
            for site, species in changes.items():
                if (self.host.species[site], species) not in self._kind_of:
                    name = Configuration.from_changes(self.host, {site: species}).description
                    raise RuleError(
                        f"seeds: {name} is not among the allowed defects; add it to them, with "
                        f"counts if no other {name} is wanted"
                    )

    def _separations(self) -> np.ndarray:
        n, given = len(self.kinds), self.rules.min_separation
        needed = np.full((n, n), given.get(ANY, 0.0))
        for pair, distance in given.items():
            if pair != ANY:
                i, j = (self._number[end] for end in pair.split("-"))
                needed[i, j] = needed[j, i] = distance
        return np.maximum(needed - CLOSE, 0.0)

    @cached_property
    def distance(self) -> np.ndarray:
        """Shortest periodic distances, Å, exactly equal for equivalent pairs, (n_sites, n_sites).

        A crystal's coordinates keep its symmetry only to some thousandths; a limit between two
        equivalent pairs would be kept by one configuration and broken by its mirror image.
        """
        if not self.needed.any():
            return np.zeros((0, 0))
        from defects.encodings.pairs import pair_table

        table = pair_table(self.host)
        orbit = np.minimum(table.orbit, table.reverse[table.orbit])
        return table.distance[orbit]

    @cached_property
    def options(self) -> dict[int, tuple[str, ...]]:
        """Site → species it may become, by the rules or by one of the seeds."""
        may = self.allowed.copy()
        for changes in self.seeds:
            for site, kind in self.coded(changes):
                may[site, kind] = True
        return {
            int(s): tuple(self.species[k] for k in np.flatnonzero(may[s]))
            for s in np.flatnonzero(may.any(axis=1))
        }

    def coded(self, changes: Mapping[int, str]) -> list[tuple[int, int]]:
        """Changes as pairs of site and kind; only those of known kinds."""
        codes = ((s, self._kind_of.get((self.host.species[s], x))) for s, x in changes.items())
        return [(s, k) for s, k in codes if k is not None]

    def open(self, changes: Mapping[int, str]) -> np.ndarray:
        """Alternatives that may be added without going over a limit, shape (n_alternatives,)."""
        free = self._free.copy()
        for s in changes:
            free[self._first[s] : self._first[s + 1]] = False
        if len(self.groups) > 1 or len(changes) >= self.groups[0].high or self.needed.any():
            codes = self.coded(changes)
            for group in self.groups:
                if sum(group.mask[s, k] for s, k in codes) >= group.high:
                    free &= ~group.mask[self.site, self.kind]
            if self.needed.any():
                for s, k in codes:
                    free &= self.distance[s][self.site] >= self.needed[k][self.kind]
        return free

    def contained(self, changes: Mapping[int, str]) -> list[Mapping[int, str]]:
        """The seeds that changes contain."""
        return [d for d in self.seeds if all(changes.get(s) == x for s, x in d.items())]

    def violation(self, configuration: Configuration) -> str | None:
        """See `Rules.violation`."""
        found = self.as_placed(configuration.changes)
        if found is None or not self.site_specific:
            return found
        if self.place(configuration) is not None:
            return None
        return f"{found}, and no equivalent placement keeps the rules"

    def as_placed(self, changes: Mapping[int, str]) -> str | None:
        """The first rule that changes break where they lie, and by how much, or None."""
        codes = self.coded(changes)
        total = self.groups[0].problem(len(changes))
        if total is not None:
            return total
        if len(codes) < len(changes):
            known = {s for s, _ in codes}
            other = next(s for s in changes if s not in known)
            name = Configuration.from_changes(self.host, {other: changes[other]}).description
            return f"{name} is not among {', '.join(self.rules.defects)}"
        for group in self.groups[1:]:
            problem = group.problem(sum(bool(group.mask[s, k]) for s, k in codes))
            if problem is not None:
                return problem
        seeds = self.contained(changes)
        if not seeds:
            missing = min(len(set(d.items()) - set(changes.items())) for d in self.seeds)
            return f"seeds: contains none of them ({missing} of the nearest one's defects missing)"
        problems = [self._beyond(seed, codes) for seed in seeds]
        return None if None in problems else problems[0]

    def _beyond(self, seed: Mapping[int, str], codes: list[tuple[int, int]]) -> str | None:
        """What is wrong with the places of what a seed does not give."""
        label = self.host.site_label
        for s, k in codes:
            if s in seed or self.allowed[s, k]:
                continue
            if s in self.frozen:
                return f"frozen: site {label(s)} is {self.kinds[k]}"
            return f"where: {self.kinds[k]} on {label(s)}"
        if self.needed.any():
            for i, (s, k) in enumerate(codes):
                for t, m in codes[:i]:
                    short = self.needed[k, m] - self.distance[s, t]
                    if short > 0 and not (s in seed and t in seed):
                        asked = self.needed[k, m] + CLOSE
                        return (
                            f"min_separation: {self.kinds[m]} on {label(t)} and {self.kinds[k]} on "
                            f"{label(s)} are {self.distance[s, t]:.2f} Å apart, asked for are "
                            f"{asked:.2f} Å ({asked - self.distance[s, t]:.2f} Å too near)"
                        )
        return None

    def place(self, configuration: Configuration) -> Configuration | None:
        """See `Rules.place`."""
        if self.as_placed(configuration.changes) is None:
            return configuration
        return self.image(configuration) if self.site_specific else None

    def image(
        self, configuration: Configuration, rng: np.random.Generator | None = None
    ) -> Configuration | None:
        """An equivalent placement that keeps the rules where it lies, None where there is none.

        With `rng` a random one of all, the configuration's own among them; else always the same.
        """
        codes = self.coded(configuration.changes)
        if not codes or len(codes) < configuration.n_defects:
            return None
        images = self._images(codes)
        for row in range(len(images)) if rng is None else rng.permutation(len(images)):
            moved = {int(s): self.species[k] for s, (_, k) in zip(images[row], codes, strict=True)}
            if self.as_placed(moved) is None:
                return Configuration.from_changes(self.host, moved)
        return None

    def _images(self, codes: list[tuple[int, int]]) -> np.ndarray:
        """Equivalent sites of a configuration that may keep the rules, shape (n, n_defects).

        All operations at once; what is left is looked at one by one.
        """
        sites, kinds = (np.array(x) for x in zip(*codes, strict=True))
        images = self.host.symmetry[:, sites]
        good = np.zeros(len(images), dtype=bool)
        allowed = self.allowed[images, kinds]
        for seed in self.seeds:
            fine, whole = allowed.copy(), np.ones(len(images), dtype=bool)
            for s, k in self.coded(seed):
                here = (images == s) & (kinds == k)
                fine |= here
                whole &= here.any(axis=1)
            good |= whole & fine.all(axis=1)
        for group in self.groups[1:]:
            n = group.mask[images, kinds].sum(axis=1)
            good &= (n >= group.low) & (n <= group.high)
        return images[good]

    def require_feasible(self) -> None:
        """Refuse rules that nothing meets; found out once.

        Raises
        ------
        RuleError
            Which rules, as far as one can be named.
        """
        if self._infeasible is not None:
            raise RuleError(self._infeasible)

    @cached_property
    def _infeasible(self) -> str | None:
        from defects.rules.tight import infeasibility

        return infeasibility(self)


@lru_cache(maxsize=256)
def _cached(rules: Rules, host: Host, layers: tuple[float, ...]) -> RuleSet:
    return RuleSet(rules, host)


def rule_set(rules: Rules, host: Host) -> RuleSet:
    """Rules on a host (cached).

    Raises
    ------
    RuleError
        When they name what the host does not have.
    """
    # Hosts of one key may name like atoms in another order along the normal, which `top` tells.
    return _cached(rules, host, tuple(host.heights.round(1)) if rules.where else ())
