"""The Optuna study of a campaign's sampling settings, made anew from its ledger.

Tree-structured Parzen estimator (Bergstra et al. 2011): the settings are continuous and few are
tried per round, so that what one setting yields has to tell something about its neighbours, which
a bandit over a grid does not. It ranks what it is told and so takes the noise of counts lightly,
and it needs no torch, as Optuna's Gaussian process does.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from defects.errors import ConfigError
from design_loop.adaptation.arms import SAMPLED
from design_loop.adaptation.leader import inside, log_ratio, references
from design_loop.adaptation.yields import ArmYield


def ask(
    history: Sequence[ArmYield],
    bounds: Mapping[str, tuple[float, float]],
    number: int,
    seed: int,
    startup: int,
) -> tuple[list[dict[str, float]], int]:
    """Settings to try next.

    Parameters
    ----------
    history : sequence of ArmYield
        What earlier rounds gave, in order; the configured setting has index 0.
    bounds : mapping
        Setting -> lowest and highest value.
    number : int
        How many settings to ask for.
    seed : int
        Of the sampler; the same seed and history ask the same.
    startup : int
        Settings that are drawn at random before the estimator guides.

    Returns
    -------
    list of dict
        Setting -> value.
    int
        How many earlier settings the sampler was told.

    Raises
    ------
    ConfigError
        When Optuna is not installed.
    """
    free = {name: bounds[name] for name in SAMPLED if bounds[name][0] < bounds[name][1]}
    fixed = {name: bounds[name][0] for name in SAMPLED if name not in free}
    if not free:
        return [dict(fixed) for _ in range(number)], 0
    optuna = _optuna()
    space = {name: optuna.distributions.FloatDistribution(*free[name]) for name in free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # A liar for what was asked and not yet told: settings of one round keep apart.
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
        )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    configured = references(history)
    told = 0
    for arm in history:
        reference = configured.get(arm.round)
        usable = inside(arm.settings, free) and arm.samples
        if reference is None or not usable or not reference.samples:
            continue
        study.add_trial(
            optuna.trial.create_trial(
                params={name: float(arm.settings[name]) for name in free},
                distributions=space,
                value=log_ratio(arm, reference),
            )
        )
        told += 1
    asked = [study.ask(space).params for _ in range(number)]
    return [fixed | {name: float(value) for name, value in row.items()} for row in asked], told


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "generation.adapt needs optuna: pip install 'design-loop[search]', or set "
            "generation.adapt.enabled: false"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
