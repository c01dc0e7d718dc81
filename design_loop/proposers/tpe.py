"""Tree-structured Parzen estimator (Optuna) over slots of defects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.configuration import Configuration
from defects.errors import ConfigError
from defects.hosts import Host
from defects.rules import Rules
from design_loop.ledger import Sample
from design_loop.proposers.base import SearchProposer, as_samples
from design_loop.proposers.energy import Scorer
from design_loop.proposers.history import known_keys, ranked
from design_loop.proposers.moves import new_near

if TYPE_CHECKING:
    from design_loop.campaign.context import Context
    from design_loop.ledger.steps import StepRun

#: Labelled configurations, the best ones, that a study begins with.
_WARM = 100


class TpeProposer(SearchProposer):
    """Trials of an Optuna study on the surrogate; every one is a proposal.

    The study is made anew each round from what the ledger holds: the best labelled configurations
    and all proposals so far, with energies by label or by today's surrogate. A trial that is known
    already, or that the oracle could not label, is moved to a neighbour that is neither, and the
    study is told of that one.
    """

    def propose(self, context: Context, number: int, run: StepRun) -> list[Sample]:
        """Ask and tell until the round's proposals are used up."""
        wanted = context.config.generation.samples
        settings = context.config.proposer
        space = Slots(context.host, context.config.rules)
        score, rng = Scorer(context), context.rng(number, 1)
        known = known_keys(context)
        study = _study(settings.startup, int(rng.integers(2**31)))
        told = self._remember(context, study, space)
        found: list[Configuration] = []
        while len(found) < wanted:
            trials = [study.ask() for _ in range(min(settings.batch, wanted - len(found)))]
            made = []
            for trial in trials:
                asked_for = context.domain.near(space.suggest(trial), rng)
                c = new_near(asked_for, context.domain, known, rng)
                study.tell(trial, state=_failed())  # its place is taken by what was made of it
                if c is not None:
                    known.add(c.key)
                    made.append(c)
            if not made:
                break
            space.tell(study, made, score(made))
            found += made
            context.progress.step_advanced(len(found), wanted)
        run.info["told"] = told
        run.info["surrogate_evaluations"] = score.evaluations
        return as_samples(context, "tpe", found)

    def _remember(self, context: Context, study: Any, space: Slots) -> int:
        """Tell a new study what is known; returns how much that is."""
        mine = context.ledger.known_keys(context.id)
        rows = [
            (c, energy)
            for c, energy in ranked(context, Scorer(context))
            if context.config.rules.violation(c) is None
        ]
        best = [row for row in rows if row[0].key not in mine][:_WARM]
        rows = best + [row for row in rows if row[0].key in mine]
        space.tell(study, [c for c, _ in rows], [e for _, e in rows])
        return len(rows)


class Slots:
    """A configuration as numbers: how many defects, and kind and cell of each.

    The first defect lies in cell 0: shifted crystals are the same.

    Parameters
    ----------
    host : Host
    rules : Rules
    """

    def __init__(self, host: Host, rules: Rules) -> None:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        self.host = host
        allowed = rules.allowed()
        low, high = rules.number(host)
        high = min(high, len(rules.options(host)))
        #: Label -> (unit-cell atom, species): ``V_S@1`` is a vacancy on the second sublattice. All
        #: of them, wherever the rules want it: what is known has to be told, too.
        self.kinds = {
            f"{now}_{was}@{atom}": (atom, now)
            for atom, was in enumerate(host.unit_species)
            for now in allowed.get(was, ())
        }
        self.distributions: dict[str, Any] = {"n": IntDistribution(low, high)}
        for slot in range(high):
            self.distributions[f"kind{slot}"] = CategoricalDistribution(tuple(self.kinds))
            if slot:
                for axis, size in zip("abc", host.supercell, strict=True):
                    if size > 1:
                        self.distributions[f"{axis}{slot}"] = IntDistribution(0, size - 1)

    def params(self, configuration: Configuration) -> dict[str, Any]:
        """Parameters of a configuration: defects in site order, cells from that of the first."""
        n_cells, shape = self.host.n_cells, self.host.supercell
        labels = {value: label for label, value in self.kinds.items()}
        params: dict[str, Any] = {"n": configuration.n_defects}
        origin: tuple[int, ...] = (0, 0, 0)
        for slot, defect in enumerate(configuration.defects):
            atom, cell = divmod(defect.site, n_cells)
            place = tuple(int(i) for i in np.unravel_index(cell, shape))
            if slot == 0:
                origin = place
            params[f"kind{slot}"] = labels[atom, defect.species]
            for axis, here, start, size in zip("abc", place, origin, shape, strict=True):
                if slot and size > 1:
                    params[f"{axis}{slot}"] = (here - start) % size
        return params

    def tell(self, study: Any, made: Sequence[Configuration], energies: Sequence[float]) -> None:
        """Add finished trials to a study."""
        import optuna

        for c, energy in zip(made, energies, strict=True):
            params = self.params(c)
            study.add_trial(
                optuna.trial.create_trial(
                    params=params,
                    distributions={name: self.distributions[name] for name in params},
                    value=float(energy),
                )
            )

    def suggest(self, trial: Any) -> Configuration:
        """The configuration that a trial asks for."""
        n = self._suggest(trial, "n")
        for name in self.distributions:
            if name != "n" and int(name.lstrip("kindabc")) < n:
                self._suggest(trial, name)
        return self.configuration(trial.params)

    def configuration(self, params: dict[str, Any]) -> Configuration:
        """The configuration that parameters stand for.

        Where two defects meet, the later one takes the next free cell of its sublattice.
        """
        changes: dict[int, str] = {}
        _, ny, nz = self.host.supercell
        for slot in range(params["n"]):
            atom, species = self.kinds[params[f"kind{slot}"]]
            a, b, c = (params.get(f"{axis}{slot}", 0) for axis in "abc")
            cell = (a * ny + b) * nz + c
            n_cells = self.host.n_cells
            for step in range(n_cells):
                site = atom * n_cells + (cell + step) % n_cells
                if site not in changes:
                    changes[site] = species
                    break
        return Configuration.from_changes(self.host, changes)

    def _suggest(self, trial: Any, name: str) -> Any:
        distribution = self.distributions[name]
        if name.startswith("kind"):
            return trial.suggest_categorical(name, distribution.choices)
        return trial.suggest_int(name, distribution.low, distribution.high)


def _study(startup: int, seed: int) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("proposer tpe needs optuna: pip install 'design-loop[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup, multivariate=True, group=True, constant_liar=True
        )
    return optuna.create_study(sampler=sampler, direction="minimize")


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL
