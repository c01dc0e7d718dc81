"""Kinds that build on others: weights of a stack, and what a related property teaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from surrogate_data import dataset

from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.property_model import PropertyModel
from training.surrogate_cells import Problem
from training.surrogate_kinds import fit_kind
from training.surrogate_metrics import grouped_folds
from training.surrogate_property import fit_property
from training.surrogate_stack import convex_weights
from training.surrogate_task import FitOptions, FitTask, KindFit, helping

OPTIONS = FitOptions(n_folds=3, iterations=40, seed=0, threads=1)


def test_weights_are_convex_and_leave_out_what_only_adds_error():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    a, b = rng.normal(0, 0.1, size=(2, 400))
    weights = convex_weights(np.stack([truth + a, truth + b, truth + 5], axis=1), truth)
    assert weights.sum() == pytest.approx(1)
    assert weights[2] == 0
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=0.1)


def test_weights_follow_the_typical_error_not_one_outlier():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=300)
    good, poor = truth + rng.normal(0, 0.01, 300), truth + rng.normal(0, 0.3, 300)
    good[0] += 5
    assert convex_weights(np.stack([good, poor], axis=1), truth)[0] > 0.9


class Constant:
    space, ensemble = "total", False


def task(values, folds):
    problem = Problem(dataset(n=60, with_levels=30), "homo_lumo_gap")
    _, sets = problem.sets(range(60))
    return FitTask("homo_lumo_gap", sets["homo_lumo_gap"].batch, values, folds)


def test_the_held_out_prediction_of_a_stack_does_not_see_its_fold():
    rng = np.random.default_rng(2)
    values, folds = rng.normal(size=60), np.arange(60) % 3
    found = task(values, folds)
    one, other = values + rng.normal(0, 0.1, 60), values + rng.normal(0, 0.1, 60)
    found.fits = {"trees": KindFit(Constant(), one), "pairs": KindFit(Constant(), other)}
    fit = fit_kind("stack", found, OPTIONS)
    for k in range(3):
        rest = folds != k
        weights = convex_weights(np.stack([one, other], axis=1)[rest], values[rest])
        expected = np.stack([one, other], axis=1)[~rest] @ weights
        np.testing.assert_allclose(fit.held_out[~rest], expected)


@pytest.mark.parametrize("kind", ["stack", "related"])
def test_what_is_written_predicts_the_same(kind, tmp_path):
    problem = Problem(dataset(), "lumo")
    encoder, sets = problem.sets(range(len(problem.keys)))
    related = {"homo_lumo_gap": sets["homo_lumo_gap"]}
    fit = fit_property("lumo", sets["lumo"], (kind,), OPTIONS, None, related)
    fit.model.save(tmp_path)
    again = PropertyModel.load(tmp_path, encoder)
    some = Encoded(problem.configurations[40:], encoder)
    np.testing.assert_allclose(again.predict(some), fit.model.predict(some))


def test_a_related_property_with_many_labels_helps_one_with_few():
    problem = Problem(dataset(n=90, with_levels=30), "lumo")
    _, sets = problem.sets(range(90))
    related = {"homo_lumo_gap": sets["homo_lumo_gap"]}
    options = replace(OPTIONS, n_folds=6)
    alone = fit_property("lumo", sets["lumo"], ("pairs",), options)
    helped = fit_property("lumo", sets["lumo"], ("related",), options, None, related)
    assert helped.report["metrics"]["mae"] < 0.8 * alone.report["metrics"]["mae"]


def test_folds_are_common_to_both_properties():
    """A label of the gap must not be seen where the level of the same structure is held out."""
    problem = Problem(dataset(), "lumo")
    _, sets = problem.sets(range(90))
    seen = []

    def spy(task, options):
        seen.append(task)
        raise ModelError("enough")

    import training.surrogate_pairs as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit_pairs", spy)
        with pytest.raises(ModelError, match="enough"):
            fit_property("lumo", sets["lumo"], ("pairs",), OPTIONS, None, sets)
    gap = seen[0].related["homo_lumo_gap"]
    assert (gap.rows >= 0).all()
    np.testing.assert_array_equal(gap.folds[gap.rows], seen[0].folds)
    assert set(gap.folds) == set(grouped_folds(problem.keys, seen[0].n_folds, 0))


def test_related_needs_its_labels():
    problem = Problem(dataset(), "lumo")
    _, sets = problem.sets(range(90))
    with pytest.raises(ModelError, match="lumo: the kind related needs labels of homo_lumo_gap"):
        fit_property("lumo", sets["lumo"], ("related",), OPTIONS)


def test_labels_that_help_are_those_there_that_are_not_asked_for():
    there = ("homo", "lumo", "homo_lumo_gap", "energy")
    assert helping(["lumo", "homo"], there) == ["homo_lumo_gap"]
    assert helping(["lumo", "homo_lumo_gap"], there) == []
    assert helping(["lumo"], ("lumo", "energy")) == []
    assert helping(["energy"], there) == []
