"""Gibbs sampling of configurations on pairwise energies, cooled: probabilistic bits in software.

Networks of probabilistic bits sample a Boltzmann distribution of pairwise couplings by updating one
bit after the other from its conditional distribution (Camsari et al., Phys. Rev. X 7, 031014
(2017)). Here a variable is a defect with all its sites and kinds as states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from defects.configuration import Configuration
from defects.targets import Target
from design_loop.ledger import Sample
from design_loop.proposers.base import SearchProposer, as_samples
from design_loop.proposers.domain import Domain
from design_loop.proposers.energy import target_energy
from design_loop.proposers.history import known_keys, labelled
from design_loop.proposers.limits import Limits
from design_loop.proposers.pairwise import Alternatives, PairwiseFormula, composition_features

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: Labels weigh so many times as much as what the surrogate says.
_LABEL_WEIGHT = 4.0
#: Batches of chains after which the rest is drawn at random.
_MOST_BATCHES = 12


class GibbsProposer(SearchProposer):
    """Ends of cooled Gibbs chains, one per proposal.

    The pairwise formulas are fitted anew each round, to all labels and to what the surrogate says
    of random configurations.
    """

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Fit the formulas, run the chains."""
        wanted, settings = context.config.generation.samples, context.config.proposer
        rng = context.rng(number, 1)
        known = known_keys(context)
        alternatives = Alternatives(context.host, context.config.rules)
        formulas = self._formulas(context, alternatives, rng)
        chains = Chains(context.domain, alternatives, context.config.targets, formulas)
        betas = np.geomspace(settings.beta_start, settings.beta_end, settings.sweeps)
        found: list[Configuration] = []
        for _ in range(_MOST_BATCHES):
            if len(found) == wanted:
                break
            for row in chains.run(wanted, betas, rng):
                end = alternatives.decode(row)
                if len(found) < wanted and end.key not in known and end in context.domain:
                    known.add(end.key)
                    found.append(end)
            context.progress.step_advanced(len(found), wanted)
        drawn = context.domain.distinct(wanted - len(found), rng, known)
        run.info["at_random"] = len(drawn)
        run.info["surrogate_evaluations"] = settings.distil
        run.info["formula_error"] = {
            t.property: f.spread for t, f in zip(context.config.targets, formulas, strict=True)
        }
        return as_samples(context, "gibbs", found + drawn)

    def _formulas(
        self, context: Context, alternatives: Alternatives, rng: np.random.Generator
    ) -> list[PairwiseFormula]:
        """One formula per target."""
        targets = context.config.targets
        kinds = set(alternatives.kinds)
        rows = [(c, values) for c, values in labelled(context) if set(c.counts()) <= kinds]
        n = context.config.proposer.distil
        drawn = [context.domain.random(rng) for _ in range(n)]
        said = context.services.predict(drawn).mean if drawn else []
        weights = np.repeat([_LABEL_WEIGHT, 1.0], [len(rows), len(drawn)])
        configurations = [*(c for c, _ in rows), *drawn]
        return [
            PairwiseFormula.fit(
                alternatives,
                configurations,
                np.array([v[t.property] for v in (*(v for _, v in rows), *said)]),
                weights,
            )
            for t in targets
        ]


class Chains:
    """Many Gibbs chains side by side.

    A chain has as many slots as there may be defects; each holds a defect or nothing. A slot is
    drawn from its distribution given all others: exp(-β energy) over every free site and kind, and
    over staying empty, which weighs as much beforehand as all sites together, or chains would
    always fill up.

    Parameters
    ----------
    domain : Domain
    alternatives : Alternatives
    targets : sequence of Target
    formulas : sequence of PairwiseFormula
        One per target.
    """

    def __init__(
        self,
        domain: Domain,
        alternatives: Alternatives,
        targets: tuple[Target, ...],
        formulas: list[PairwiseFormula],
    ) -> None:
        self.domain, self.alternatives = domain, alternatives
        self.targets, self.formulas = targets, formulas
        self._few, high = domain.rules.number(domain.host)
        self._slots = min(high, len(domain.rules.options(domain.host)))
        self._limits = Limits(domain.rules.on(domain.host), alternatives)
        self._allowed = domain.compositions(alternatives.kinds)

    def run(self, n: int, betas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Ends of n chains after a pass over all slots at every inverse temperature.

        Returns
        -------
        ndarray of int, shape (n, slots)
            Alternatives, -1 for an empty slot.
        """
        start = [self.domain.random(rng) for _ in range(n)]
        codes = np.full((n, self._slots), -1, dtype=np.int64)
        encoded = self.alternatives.encode(start)
        codes[:, : encoded.shape[1]] = encoded
        fixed = self._limits.fixed(start, codes)
        for beta in betas:
            for slot in range(self._slots):
                drawn = self._draw(codes, slot, float(beta), rng)
                codes[:, slot] = np.where(fixed[:, slot], codes[:, slot], drawn)
        return codes

    def _draw(
        self, codes: np.ndarray, slot: int, beta: float, rng: np.random.Generator
    ) -> np.ndarray:
        """New states of one slot of every chain, shape (n,)."""
        a = self.alternatives
        n, size, n_kinds = len(codes), len(a), len(a.kinds)
        others = np.delete(codes, slot, axis=1)
        there = others >= 0
        counts = a.counts(others)
        # States: every alternative, and last the empty slot.
        after = counts[:, None, :] + np.vstack(
            [np.eye(n_kinds, dtype=int), np.zeros((1, n_kinds), dtype=int)]
        )
        state_kind = np.append(a.kind, n_kinds)
        energy = np.zeros((n, size + 1))
        features = composition_features(after)
        for target, formula in zip(self.targets, self.formulas, strict=True):
            rows = formula.interaction[others] * there[:, :, None]
            value = (features @ formula.composition)[:, state_kind]
            value += self._between(formula, others, there)[:, None]
            value[:, :size] += rows.sum(axis=1)
            energy += target_energy(target, value, formula.spread)
        logits = -beta * energy
        taken = (a.site[None, :, None] == a.site[others][:, None, :]) & there[:, None, :]
        logits[:, :size][taken.any(axis=2)] = -np.inf
        logits[:, size] += np.log(size)
        logits[there.sum(axis=1) < self._few, size] = -np.inf
        logits[~self._composition_allowed(after)[:, state_kind]] = -np.inf
        logits[self._limits.broken(others, there)] = -np.inf
        # A chain whose every state is forbidden stays where it is.
        stuck = ~np.isfinite(logits).any(axis=1)
        choice = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        return np.where(stuck, codes[:, slot], np.where(choice == size, -1, choice))

    def _between(
        self, formula: PairwiseFormula, others: np.ndarray, there: np.ndarray
    ) -> np.ndarray:
        """Interaction among the other slots, shape (n,)."""
        total = np.zeros(len(others))
        for i in range(others.shape[1]):
            for j in range(i):
                both = there[:, i] & there[:, j]
                total += np.where(both, formula.interaction[others[:, i], others[:, j]], 0.0)
        return total

    def _composition_allowed(self, after: np.ndarray) -> np.ndarray:
        """Whether the table holds a composition; every one where there is no table.

        Parameters
        ----------
        after : ndarray, shape (n, states, k)
        """
        if self._allowed is None:
            return np.ones(after.shape[:2], dtype=bool)
        allowed = np.array(sorted(self._allowed))
        return (after[:, :, None, :] == allowed).all(axis=3).any(axis=2)
