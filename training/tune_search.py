"""Ray Tune over an Optuna study that outlives it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from defects.errors import DesignLoopError

if TYPE_CHECKING:
    import optuna

#: Name of what a trial reports, and what a failed one reports beside it.
METRIC, REASON = "value", "reason"
#: What Ray Tune reads from the environment: no handler of Ctrl-C of its own, which would end the
#: search as if it were finished; no CSV, JSON and TensorBoard files per trial; nothing on standard
#: output, which belongs to the command's result.
_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_trials(
    study: optuna.Study,
    propose: Callable[[optuna.Trial], dict[str, Any]],
    compute: Callable[[dict[str, Any]], float],
    number: int,
    in_flight: int | None = None,
    *,
    crashes: int = 2,
    told: Callable[[optuna.trial.FrozenTrial], None] | None = None,
) -> None:
    """Run trials of a study with Ray Tune, to be minimised; Ray runs already.

    Parameters
    ----------
    study : optuna.Study
        In a storage; every trial is in it from its beginning, so that a killed search loses what
        was in flight and nothing else.
    propose : callable
        Draws the parameters of a trial (plain JSON values), in this process.
    compute : callable
        Value of some parameters; called in a worker with one CPU.
    number : int
        How many trials to run.
    in_flight : int, optional
        Most at a time; as many as the cluster has room for by default.
    crashes : int
        Deaths of its worker that a trial survives.
    told : callable, optional
        Is told of every trial that ended; a failed one has its reason in the attribute ``error``.
    """
    os.environ.update(_ENVIRONMENT)
    from ray import tune

    searcher = _searcher(study, propose, told)
    with tempfile.TemporaryDirectory(prefix="design-loop-tune-") as folder:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(_trial, compute=compute), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="min",
                search_alg=searcher,
                num_samples=number,
                max_concurrent_trials=in_flight or 0,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=folder,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=crashes),
            ),
        ).fit()


def _trial(config: dict[str, Any], compute: Callable[[dict[str, Any]], float]) -> None:
    """What a worker does. A mistake in the parameters is an answer; only a crash is tried again."""
    from ray import tune

    try:
        tune.report({METRIC: float(compute(json.loads(config["params"])))})
    except DesignLoopError as error:
        tune.report({METRIC: float("inf"), REASON: str(error).splitlines()[0]})


def _searcher(
    study: optuna.Study,
    propose: Callable[[optuna.Trial], dict[str, Any]],
    told: Callable[[optuna.trial.FrozenTrial], None] | None,
) -> Any:
    from ray.tune.search.optuna import OptunaSearch

    class StudySearch(OptunaSearch):
        """OptunaSearch on a study that is there already, and that keeps why a trial failed."""

        def _setup_study(self, mode: str | list[str]) -> None:
            # Ray Tune would open it anew by its name; this one has its sampler and its storage.
            self._ot_study = study

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            trial = self._ot_trials[trial_id]
            reason = (result or {}).get(REASON)
            if error or reason is not None:
                trial.set_user_attr("error", reason or "its worker died")
                result, error = None, True
            super().on_trial_complete(trial_id, result, error)
            if told is not None:
                told(study.trials[trial.number])

        def save(self, checkpoint_path: str) -> None:
            """Nothing: the study is its own record, and no pickle of it is ever read."""

        def __reduce__(self) -> tuple[Any, ...]:
            # Ray Tune also pickles the searcher with its own settings, which nobody reads again.
            return (OptunaSearch, ())

    def space(trial: Any) -> dict[str, str]:
        # As text, since Ray Tune flattens nested settings and drops empty ones.
        return {"params": json.dumps(propose(trial))}

    return StudySearch(space, metric=METRIC, mode="min")
