"""Searches hyperparameters of surrogates: Ray Tune runs the trials, Optuna proposes them.

The study is Optuna's own journal, a file of JSON lines in the output folder: a search that was
killed goes on from it, and it can be opened by any of Optuna's tools. `Tuner.restore` is not used:
it reads pickles and takes the searcher back to its last snapshot. What Ray Tune writes beside is
left to a temporary folder.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.datasets import resolve_dataset
from defects.errors import DatasetError, ModelError
from defects.surrogates.blas import blas_threads
from training.surrogate import fit_surrogate
from training.surrogate_cells import Problem, Settings
from training.surrogate_kinds import missing, search_space
from training.surrogate_property import fit_property
from training.tune_plot import history_svg

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

JOURNAL = "study.journal"
#: Worker crashes that a trial survives.
CRASHES = 2


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    kind : str
    params : dict
        Hyperparameters, where they differ from the kind's defaults.
    value, default : float
        Cross-validated mean absolute error with them and with the defaults, in the property's
        unit. (The best of many: a little better than what new labels will show.)
    trials : int
        How many there are in the study, also failed ones.
    model : Path
        Folder of the surrogate refitted with them.
    """

    kind: str
    params: dict[str, Any]
    value: float
    default: float
    trials: int
    model: Path


def tune(
    data_path: str | Path,
    prop: str,
    out_dir: str | Path,
    *,
    kinds: Sequence[str] = ("trees",),
    trials: int = 20,
    settings: Settings | None = None,
    in_flight: int | None = None,
    tell: Callable[[str], None] = logger.info,
) -> list[Tuned]:
    """Search hyperparameters of kinds for one property and refit each kind with its best.

    Ray runs already, or is started. A further call with the same folder goes on where the last one
    ended or was killed.

    Parameters
    ----------
    data_path : path
        Dataset folder, or the name of a bundled dataset.
    prop : str
    out_dir : path
        Gets ``study.journal``, and per kind ``KIND.csv`` (all trials), ``KIND.svg`` (errors over
        trials), ``KIND.json`` and ``models/KIND-NNNN``, a surrogate with the best trial's
        hyperparameters.
    kinds : sequence of str
    trials : int
        Per kind, those of earlier calls included. The first has the defaults.
    settings : Settings, optional
    in_flight : int, optional
        Trials at a time; as many as the cluster has CPUs by default.
    tell : callable
        Is told of every trial.

    Returns
    -------
    list of Tuned, one per kind

    Raises
    ------
    DatasetError
        When there are no usable labels, or the folder belongs to a search on other labels.
    ModelError
        When a kind is unknown, lacks a library or has nothing to search, or all trials failed.
    """
    from training.lora import ray_running

    settings = settings or Settings()
    for kind in kinds:
        reason = missing(kind)
        if reason is not None:
            raise ModelError(f"a surrogate of kind {kind} {reason}")
        search_space(kind)
    problem = Problem(resolve_dataset(str(data_path)), prop)
    out = Path(out_dir)
    try:
        (out / "models").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{out} cannot be written: {error.strerror or error}") from error
    with ray_running():
        found = []
        for kind in kinds:
            study = open_study(out, problem, kind, settings)
            _search(study, problem, kind, settings, trials, in_flight, tell)
            found.append(_finish(study, problem, kind, settings, out, tell))
        return found


def open_study(out: Path, problem: Problem, kind: str, settings: Settings) -> optuna.Study:
    """The study of a kind in a folder, new or as an earlier call left it.

    Trials that were running when an earlier call was killed are failed and asked for again.

    Raises
    ------
    DatasetError
        When the study there is of other labels or settings.
    ModelError
        When Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        from optuna.trial import TrialState
    except ImportError as error:
        raise ModelError("tuning needs Optuna: pip install 'design-loop[train]'") from error

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A killed process leaves its lock behind; this kind of lock is then taken over after a while.
    path = str(out / JOURNAL)
    backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
    storage = optuna.storages.JournalStorage(backend)
    name = f"{problem.name}--{kind}"
    old = next((s for s in optuna.get_all_study_summaries(storage) if s.study_name == name), None)
    begun = old.n_trials if old is not None else 0
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        direction="minimize",
        load_if_exists=True,
        # Else trials that run side by side are much alike. Each call draws numbers of its own.
        sampler=optuna.samplers.TPESampler(seed=settings.seed + begun, constant_liar=True),
    )
    facts = {
        "labels": problem.fingerprint(),
        "folds": settings.folds,
        "iterations": settings.iterations,
        "seed": settings.seed,
    }
    known = study.user_attrs.get("facts")
    if known is None:
        study.set_user_attr("facts", facts)
    elif known != facts:
        other = ", ".join(k for k in facts if known.get(k) != facts[k])
        raise DatasetError(
            f"{out} holds a search with other {other}; give another folder, or the same settings"
        )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    return study


def _search(
    study: optuna.Study,
    problem: Problem,
    kind: str,
    settings: Settings,
    trials: int,
    in_flight: int | None,
    tell: Callable[[str], None],
) -> None:
    """Run trials on the cluster until there are enough."""
    from optuna.trial import TrialState

    from training.tune_search import run_trials

    ended = sum("error" in t.user_attrs or t.state == TrialState.COMPLETE for t in study.trials)
    if ended >= trials:
        return
    draw = search_space(kind)
    default = any(t.user_attrs.get("params") == {} for t in study.trials if t.value is not None)

    def propose(trial: optuna.Trial) -> dict[str, Any]:
        nonlocal default
        # The first trial of all has the defaults, so that a gain is one over them.
        params = dict(draw(trial)) if default else {}
        default = True
        trial.set_user_attr("params", params)
        return params

    def told(trial: optuna.trial.FrozenTrial) -> None:
        nonlocal ended
        ended += 1
        label = f"{problem.name}, {kind}, {ended} of {trials}"
        if trial.value is None:
            tell(f"{label}: failed, {trial.user_attrs.get('error')}")
        else:
            with_what = trial.user_attrs["params"] or "the defaults"
            tell(f"{label}: MAE {1e3 * trial.value:.2f} meV with {with_what}")

    compute = partial(evaluate, problem, kind, settings=replace(settings, threads=1))
    run_trials(study, propose, compute, trials - ended, in_flight, crashes=CRASHES, told=told)


def evaluate(problem: Problem, kind: str, params: dict[str, Any], settings: Settings) -> float:
    """Cross-validated mean absolute error with some hyperparameters: what a trial computes."""
    _, sets = problem.sets(range(len(problem.keys)))
    others = {name: found for name, found in sets.items() if name != problem.name}
    options = replace(settings.options(), n_folds=settings.folds)
    with blas_threads(1):
        fit = fit_property(
            problem.name, sets[problem.name], (kind,), options, {kind: params}, others
        )
    return float(np.abs(fit.mean - problem.truth).mean())


def _finish(
    study: optuna.Study,
    problem: Problem,
    kind: str,
    settings: Settings,
    out: Path,
    tell: Callable[[str], None],
) -> Tuned:
    """Write the trials, refit with the best and say which it was."""
    done = [t for t in study.trials if t.value is not None]
    if not done:
        reasons = [t.user_attrs["error"] for t in study.trials if "error" in t.user_attrs]
        why = reasons[-1] if reasons else "it has none"
        raise ModelError(f"{problem.name}, {kind}: no trial succeeded: {why}")
    best = min(done, key=lambda t: t.value)
    default = next((t.value for t in done if t.user_attrs["params"] == {}), float("nan"))
    params = best.user_attrs["params"]
    _write_trials(study, out / f"{kind}.csv")
    values = [(t.number, t.value) for t in done]
    (out / f"{kind}.svg").write_text(history_svg(values, default, f"{problem.name}, {kind}"))
    folder = out / "models" / f"{kind}-{best.number:04d}"
    if not folder.is_dir():
        tell(f"{problem.name}, {kind}: fitting the best of {len(study.trials)} trials again")
        fit_surrogate(
            problem.configurations,
            {problem.name: problem.columns[problem.name]},
            problem.host,
            folder,
            seed=settings.seed,
            model=kind,
            iterations=settings.iterations,
            threads=settings.threads,
            params={kind: params},
            related={p: c for p, c in problem.columns.items() if p != problem.name},
        )
    facts = {
        "property": problem.name,
        "kind": kind,
        "params": params,
        "mae": best.value,
        "mae_of_defaults": None if np.isnan(default) else default,
        "trials": len(study.trials),
        "model": folder.relative_to(out).as_posix(),
    }
    part = out / f".{kind}.json.{os.getpid()}"
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.replace(out / f"{kind}.json")
    return Tuned(kind, params, float(best.value), default, len(study.trials), folder)


def _write_trials(study: optuna.Study, path: Path) -> None:
    trials = study.trials
    names = sorted({name for t in trials for name in t.user_attrs.get("params", {})})
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["trial", "state", "mae", "error", *names])
        for t in trials:
            params = t.user_attrs.get("params", {})
            row = [t.number, t.state.name, t.value, t.user_attrs.get("error", "")]
            writer.writerow([*row, *(params.get(name, "") for name in names)])
