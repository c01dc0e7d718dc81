"""What the surrogate knows, as instructions: the model learns where nothing is labelled yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from defects.configuration import Configuration
from defects.sampling import random_configuration
from defects.targets import Target, meets_all, surrogate_error
from design_loop.campaign.context import Context
from design_loop.proposers.domain import Domain
from design_loop.proposers.energy import total_energy
from design_loop.proposers.history import labelled
from design_loop.proposers.moves import Moves

#: Configurations that the surrogate looks at per one that is learnt from.
DRAWN = 10
#: Half of these are random; the others are neighbours of the best so far, in so many generations.
GENERATIONS = 4


def distilled(
    context: Context, number: int, known: Collection[str]
) -> list[tuple[Configuration, dict[str, float]]]:
    """Configurations that the surrogate finds to meet the targets, or nearest to them, with values.

    Labels say little of a target that none of them meets: asked for such a value, a language
    model falls back on what looks similar as text. The surrogate interpolates in the space of
    structures instead, and it answers thousands of times per second; learning from its answers
    is knowledge distillation (Hinton et al. 2015, arXiv:1503.02531) with the targets deciding what
    is asked. Of a rare target random configurations hold few or none: half of what the surrogate
    looks at are neighbours of the best, a (mu + lambda) evolution whose parents are what would be
    taught so far and, in at most half of the places, what is labelled: near a known hit the
    surrogate is sure of what it says.
    What it gets wrong all the same is verified in this round and unlearnt in the next.

    What meets the targets by its mean goes first, the likeliest hits before doubtful ones; then
    comes what lies nearest to them. The probability of a hit would put what the surrogate knows
    nothing of before what it knows to lie near: worth an oracle's call, but nothing to be taught.

    Parameters
    ----------
    context
    number : int
        Round; its random numbers follow from it.
    known : collection of str
        Keys of labelled configurations, which need no prediction.

    Returns
    -------
    list of (Configuration, dict)
        Up to ``learn.distil`` of them with the predicted properties, best first.
    """
    wanted = context.config.learn.distil
    if not wanted:
        return []
    rng = context.rng(number, 6)
    host, rules = context.host, context.config.rules
    # Of the rules, not of an oracle's table: what that holds is for the oracle to say.
    moves = Moves(host, rules, Domain(host, rules))
    looks = DRAWN * wanted
    tried = [random_configuration(host, rules, rng) for _ in range(looks // 2)]
    left = looks - len(tried)
    founders = _founders(context)
    seen: dict[str, _Seen] = {}
    for generation in range(GENERATIONS + 1):
        _look(context, tried, known, seen)
        if generation == GENERATIONS:
            break
        parents = _parents(seen.values(), founders, wanted)
        if not parents:
            return []
        size = left // (GENERATIONS - generation)
        left -= size
        drawn = (
            moves.neighbour(parents[i].configuration, rng)
            for i in rng.integers(len(parents), size=size)
        )
        tried = [c for c in drawn if c is not None and c.key not in seen]
    return [(s.configuration, s.values) for s in _best(seen.values(), wanted)]


@dataclass(frozen=True)
class _Seen:
    configuration: Configuration
    values: dict[str, float]
    place: tuple[bool, float]


def _places(
    targets: Sequence[Target],
    mean: Sequence[Mapping[str, float]],
    std: Sequence[Mapping[str, float]] | None = None,
) -> list[tuple[bool, float]]:
    """The order to teach in: what meets all targets by its energy, then the others by error."""
    energies = total_energy(targets, mean, std)
    return [
        (False, float(energy))
        if meets_all(targets, values)
        else (True, surrogate_error(targets, values))
        for values, energy in zip(mean, energies, strict=True)
    ]


def _best(seen: Iterable[_Seen], count: int) -> list[_Seen]:
    return sorted(seen, key=lambda s: s.place)[:count]


def _parents(seen: Collection[_Seen], founders: Iterable[_Seen], count: int) -> list[_Seen]:
    """The best of both, at most half of the places with founders while others can fill them.

    A label has no spread, so a labelled hit goes before any that is predicted. Without the limit
    as many labelled hits as there are places would be all parents in every generation, and the
    evolution a single step around them.
    """
    at_most = max(count // 2, count - len(seen))
    return _best([*seen, *_best(founders, at_most)], count)


def _founders(context: Context) -> list[_Seen]:
    """What is labelled and keeps the rules, by its labels."""
    rules = context.config.rules
    rows = [(c, values) for c, values in labelled(context) if rules.violation(c) is None]
    places = _places(context.config.targets, [values for _, values in rows])
    return [_Seen(c, v, place) for (c, v), place in zip(rows, places, strict=True)]


def _look(
    context: Context,
    configurations: Sequence[Configuration],
    known: Collection[str],
    seen: dict[str, _Seen],
) -> None:
    """Add what the surrogate says of configurations that are not known."""
    if not configurations:
        return
    found = context.services.predict(configurations)
    places = _places(context.config.targets, found.mean, found.std)
    for i, configuration in enumerate(configurations):
        # What the surrogate itself calls foreign it cannot teach.
        if not found.ood[i] and (key := configuration.key) not in known:
            seen.setdefault(key, _Seen(configuration, dict(found.mean[i]), places[i]))
