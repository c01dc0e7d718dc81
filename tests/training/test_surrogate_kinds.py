"""The registry of kinds: both sides know the same ones, and each says what it lacks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from defects.errors import ModelError
from defects.surrogates.kinds import AUTO, KINDS, model_class
from training.surrogate_kinds import FITTERS, Fitter, missing, search_space
from training.surrogate_task import settings_from
from training.surrogate_trees import TreeSettings

INSTALLED = [kind for kind in KINDS if missing(kind) is None]


class FirstChoice:
    """An Optuna trial that always draws the lowest or first value."""

    def suggest_int(self, name, low, high, **_):
        return low

    suggest_float = suggest_int

    def suggest_categorical(self, name, choices):
        return choices[0]


def test_every_kind_that_can_be_read_can_be_fitted():
    assert set(KINDS) == set(FITTERS)
    assert set(AUTO) <= set(KINDS)


@pytest.mark.parametrize("kind", INSTALLED)
def test_models_say_what_they_predict(kind):
    found = model_class(kind)
    assert found.space in ("z", "total")
    assert found.space == "total" or found.ensemble in (True, False)


@pytest.mark.parametrize("kind", INSTALLED)
def test_search_spaces_are_plain_data(kind):
    drawn = search_space(kind)(FirstChoice())
    assert drawn
    assert json.loads(json.dumps(drawn)) == drawn


def test_an_absent_library_is_named_with_its_extra(monkeypatch):
    absent = Fitter("training.nowhere", "fit", extra="someextra", needs=("no_such_library",))
    monkeypatch.setitem(FITTERS, "trees", absent)
    assert missing("trees") == "needs no_such_library: pip install 'design-loop[someextra]'"


def test_unknown_kinds_and_hyperparameters_are_refused():
    with pytest.raises(ModelError, match=r"unknown kind of surrogate 'forest': give auto, trees"):
        model_class("forest")
    with pytest.raises(ModelError, match="TreeSettings has no height; it has depth"):
        settings_from(TreeSettings(), {"height": 3})
    assert settings_from(TreeSettings(), {"depth": 3}) == replace(TreeSettings(), depth=3)
