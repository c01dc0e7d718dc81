"""A genetic algorithm (pymoo) whose individuals are configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.configuration import Configuration
from defects.errors import ConfigError
from design_loop.ledger import Sample
from design_loop.proposers.base import SearchProposer, as_samples
from design_loop.proposers.domain import Domain
from design_loop.proposers.energy import Scorer
from design_loop.proposers.history import known_keys, ranked
from design_loop.proposers.moves import Moves

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: Crossovers and mutations tried for a child that is new and allowed.
_TRIES = 40


class GeneticProposer(SearchProposer):
    """Generation after generation on the surrogate; every child is a proposal.

    The first parents of a round are the best that is known: labelled configurations by their
    label, the others by today's surrogate. Survival is pymoo's (binary tournament, the fittest
    stay); crossover and mutation know of lattices. With ``screen`` above 1 so many times more are
    bred, and the fittest of all are proposed.
    """

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Breed until the round's proposals are used up, or as many times more as are screened."""
        settings = context.config.proposer
        proposals = context.config.generation.samples
        wanted = proposals * settings.screen
        score, rng = Scorer(context), context.rng(number, 1)
        known = known_keys(context)
        left = context.domain.left(known) if settings.screen > 1 else None
        if left is not None and len(left) <= wanted:
            # There is nothing to search: all that a table has left is screened.
            fittest = fittest_of(left, score(left))[:proposals]
            run.info["surrogate_evaluations"] = score.evaluations
            return as_samples(context, "genetic", fittest)
        breeding = Breeding(context.domain, known, settings.mutation, rng)
        parents = [
            (c, e) for c, e in ranked(context, score) if context.config.rules.violation(c) is None
        ][: settings.population]
        score.evaluations = 0  # looking again at old candidates is no search
        proposed: list[Configuration] = []
        energies: list[float] = []
        if len(parents) < settings.population:
            fresh = context.domain.distinct(
                min(settings.population - len(parents), wanted), rng, known
            )
            known.update(c.key for c in fresh)
            proposed += fresh
            energies += map(float, score(fresh))
            parents += list(zip(fresh, energies, strict=True))
        algorithm = _algorithm(parents, breeding, max(2, settings.population // 2))
        while len(proposed) < wanted and not breeding.exhausted:
            children = algorithm.ask()
            if children is None or not len(children):
                break
            found = [row[0] for row in children.get("X")]
            told = score(found)
            _tell(algorithm, children, told)
            energies += map(float, told[: wanted - len(proposed)])
            proposed += found[: wanted - len(proposed)]
            context.progress.step_advanced(len(proposed), wanted)
        run.info["surrogate_evaluations"] = score.evaluations
        if settings.screen > 1:
            proposed = fittest_of(proposed, energies)[:proposals]
        return as_samples(context, "genetic", proposed)


def fittest_of(
    configurations: Sequence[Configuration], energies: Sequence[float] | np.ndarray
) -> list[Configuration]:
    """One of each class, those of the lowest energy first."""
    fittest: dict[str, Configuration] = {}
    for i in np.argsort(energies, kind="stable"):
        # Where everything is known, children may be the same again.
        fittest.setdefault(configurations[i].key, configurations[i])
    return list(fittest.values())


class Breeding:
    """Makes children that are allowed and new.

    Parameters
    ----------
    domain : Domain
    known : set of str
        Keys that no child may have; children are added.
    mutation : float
        Share of the children that are changed at random.
    rng : numpy Generator

    Attributes
    ----------
    exhausted : bool
        Whether the last child is a known one, for want of others: a table has so many rows.
    """

    def __init__(
        self, domain: Domain, known: set[str], mutation: float, rng: np.random.Generator
    ) -> None:
        self.domain, self.known, self.mutation, self.rng = domain, known, mutation, rng
        self.exhausted = False
        self._moves = Moves(domain.host, domain.rules, domain)

    def child(self, a: Configuration, b: Configuration) -> Configuration:
        """A new member of the domain, as like its parents as the known ones leave room for."""
        rng = self.rng
        crossed = self.domain.near(self.cross(a, b), rng)
        found = crossed if crossed in self.domain else a
        if rng.random() < self.mutation:
            found = self._moves.neighbour(found, rng) or found
        for _ in range(_TRIES):
            if found in self.domain and found.key not in self.known:
                break
            # A walk away from what is known; a dead end begins anew at the other parent.
            found = self._moves.neighbour(found, rng) or b
        else:
            fresh = self.domain.distinct(1, rng, self.known)
            self.exhausted = not fresh
            [found] = fresh or [found]
        self.known.add(found.key)
        return found

    def cross(self, a: Configuration, b: Configuration) -> Configuration:
        """Some defects of each parent, the second under a random symmetry operation.

        The energy knows no origin: parents that lie shifted against each other are as near as
        those that do not, so one is laid onto the other at random.
        """
        symmetry = self.domain.host.symmetry
        b = b.transform(symmetry[int(self.rng.integers(len(symmetry)))])
        pool = [*a.changes.items(), *b.changes.items()]
        n = (a, b)[int(self.rng.integers(2))].n_defects
        changes: dict[int, str] = {}
        for i in self.rng.permutation(len(pool)):
            site, species = pool[i]
            if len(changes) < n:
                changes.setdefault(site, species)
        return Configuration.from_changes(self.domain.host, changes)


def _algorithm(
    parents: list[tuple[Configuration, float]], breeding: Breeding, offspring: int
) -> Any:
    """pymoo's algorithm with an evaluated first population."""
    try:
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.config import Config
        from pymoo.core.crossover import Crossover
        from pymoo.core.duplicate import NoDuplicateElimination
        from pymoo.core.mutation import Mutation
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem
    except ImportError as error:
        raise ConfigError(
            f"proposer genetic needs {error.name}: pip install 'design-loop[search]'"
        ) from error
    Config.warnings["not_compiled"] = False

    class Cross(Crossover):
        def __init__(self) -> None:
            super().__init__(2, 1, prob=1.0)

        def _do(self, _: Any, X: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
            children = np.empty((1, X.shape[1], 1), dtype=object)
            for k in range(X.shape[1]):
                children[0, k, 0] = breeding.child(X[0, k, 0], X[1, k, 0])
            return children

    class Stay(Mutation):
        """Mutation is part of making a child: it has to know what is taken."""

        def _do(self, _: Any, X: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
            return X

    X = np.empty((len(parents), 1), dtype=object)
    X[:, 0] = [c for c, _ in parents]
    algorithm = GA(
        pop_size=len(parents),
        n_offsprings=offspring,
        sampling=Population.new(X=X),
        crossover=Cross(),
        mutation=Stay(),
        eliminate_duplicates=NoDuplicateElimination(),
    )
    problem = Problem(n_var=1, n_obj=1, xl=None, xu=None)
    seed = int(breeding.rng.integers(2**31))
    algorithm.setup(problem, termination=("n_gen", 2**31), seed=seed, verbose=False)
    _tell(algorithm, algorithm.ask(), np.array([e for _, e in parents]))
    return algorithm


def _tell(algorithm: Any, individuals: Any, energies: np.ndarray) -> None:
    from pymoo.core.evaluator import Evaluator
    from pymoo.problems.static import StaticProblem

    problem = StaticProblem(algorithm.problem, F=np.asarray(energies, dtype=float)[:, None])
    Evaluator().eval(problem, individuals)
    algorithm.tell(infills=individuals)
