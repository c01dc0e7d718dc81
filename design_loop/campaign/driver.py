"""The driver: one campaign, round by round, from and to the ledger.

    while there is a round to do:
        generate → check → predict → select → verify → learn

All state is in the ledger; a driver that is killed anywhere loses only the work in flight, and
`resume` goes on from the first step that is not done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from defects.datasets import Dataset
from defects.errors import DesignLoopError
from design_loop.campaign.context import Context, load_data, settled
from design_loop.campaign.control import Control
from design_loop.campaign.inherit import with_inherited
from design_loop.campaign.learn import learn, prepare
from design_loop.campaign.propose import check, generate
from design_loop.campaign.screen import choose, predict
from design_loop.campaign.services import Services, start_services
from design_loop.campaign.stages import refuse_to_wait
from design_loop.campaign.verify import verify
from design_loop.config import CampaignConfig
from design_loop.ledger import CampaignState, Ledger, Suspended, Waiting
from design_loop.ledger.steps import StepRun
from design_loop.progress import Progress
from design_loop.progress.lasting import LastingProgress
from design_loop.ray_alive import RayDiedError, check_ray
from design_loop.summary import CampaignSummary, summarise_campaign, summarise_round
from design_loop.tracking import Tracker
from design_loop.workdir import make_workdir
from serve.failures import UnavailableError

log = logging.getLogger(__name__)

#: How long a result waits for a ledger that is locked, full or away before the campaign stops, s.
PATIENCE_S = 600.0

#: How often in a row, with no step done and no label kept in between, a driver starts Ray and the
#: models anew after they died, before a person has to look.
DEATHS_IN_A_ROW = 5

#: Pause before the first of them, s; each further one is twice as long.
FIRST_PAUSE_S = 1.0

Step = Callable[[Context, int, StepRun], None]
StartServices = Callable[[CampaignConfig, Path, Callable[[str], None]], Services]

#: The method, in order (design.md; Al-Maeeni, Derkach, Ustyuzhanin 2024 for the steps of a pass).
ROUND: dict[str, Step] = {
    "generate": generate,
    "check": check,
    "predict": predict,
    "select": choose,
    "verify": verify,
    "learn": learn,
}


def start(
    config: CampaignConfig,
    workdir: Path,
    store: str,
    progress: Progress,
    services: StartServices = start_services,
    dataset: Dataset | None = None,
) -> CampaignSummary:
    """Create a campaign and run it to its end.

    Parameters
    ----------
    config : CampaignConfig
    workdir : Path
        The campaign's folder is made in here, named by its id.
    store : str
        Ledger: a file or a database URL.
    progress : Progress
    services : callable, optional
        Brings the models up; replaced in tests.
    dataset : Dataset, optional
        What the configuration names, where it has been read already.
    """
    dataset = dataset or load_data(config)
    campaign = create(config, workdir, store, dataset)
    with Ledger(store, create=False, patience_s=PATIENCE_S) as ledger:
        config = CampaignConfig.model_validate(ledger.campaign(campaign).config)
        driver = _Driver(ledger, campaign, config, progress, services)
        return driver.run(dataset, CampaignState.CREATED)


def create(
    config: CampaignConfig, workdir: Path, store: str, dataset: Dataset | None = None
) -> str:
    """Record a campaign that nobody drives yet, and return its id; `resume` begins it."""
    dataset = dataset or load_data(config)  # a broken dataset stops the campaign before it exists
    config = settled(config, dataset)
    make_workdir(workdir)
    with Ledger(store, upgrade=True) as ledger:
        return ledger.create_campaign(config, workdir)


def resume(
    campaign: str,
    workdir: Path,
    store: str,
    progress: Progress,
    services: StartServices = start_services,
    dataset: Dataset | None = None,
    expected: CampaignState | None = None,
) -> CampaignSummary:
    """Go on with a campaign; one that is done is only summed up.

    Parameters
    ----------
    campaign : str
        Its id, or the beginning.
    workdir, store, progress, services, dataset
        As in `start`.
    expected : CampaignState, optional
        Do not begin if it is in another state by now.

    Raises
    ------
    TransitionError
        Its driver is at work, or it is not in the state that was expected.
    """
    with Ledger(store, create=False, upgrade=True, patience_s=PATIENCE_S) as ledger:
        found = ledger.campaign(campaign)
        if found.state is not CampaignState.DONE:
            expected = expected or ledger.check_resume(found.id)
        config = CampaignConfig.model_validate(found.config)
        driver = _Driver(ledger, found.id, config, progress, services)
        return driver.run(dataset, expected)


@contextmanager
def _closing(models: Services) -> Iterator[None]:
    """Take the models down at the end; what ended the work is what is told, not what follows."""
    try:
        yield
    except BaseException:
        try:
            models.close()
        except Exception as second:  # noqa: BLE001 - whatever it is, the first error is the one to show
            log.warning("the models could not be taken down: %s", second)
        raise
    models.close()


class _Driver:
    def __init__(
        self,
        ledger: Ledger,
        campaign: str,
        config: CampaignConfig,
        progress: Progress,
        start_models: StartServices,
    ) -> None:
        self.ledger, self.id, self.config = ledger, campaign, config
        # That nobody looks on any more is no failure of the campaign.
        self.progress, self.start_models = LastingProgress(progress), start_models
        self.folder = Path(ledger.campaign(campaign).workdir) / campaign
        self.control = Control(ledger, campaign, config)
        self.tracker = Tracker(ledger, campaign, config.tracking, self.progress)
        self.deaths = 0  # of Ray or of the models, since a step was done or a label kept
        self.kept = 0  # labels at the last of them

    def run(self, dataset: Dataset | None, expected: CampaignState | None) -> CampaignSummary:
        """Run every step that is not done; None for `expected` runs none."""
        ledger = self.ledger
        with ledger.lease(self.id):
            self.progress.campaign_started(self.id, self.control.amended(), self.control.calls())
            if expected is not None:
                ledger.begin(self.id, expected)
                try:
                    known = dataset or load_data(self.config)
                    self._until_it_ends(with_inherited(known, ledger.inherited(self.id)))
                except KeyboardInterrupt:
                    self._leave(CampaignState.STOPPED, "stopped by the user")
                    raise
                except Exception as error:
                    self._leave(CampaignState.FAILED, f"{type(error).__name__}: {error}")
                    raise
                self.tracker.update()
            summary = summarise_campaign(ledger, self.id)
            self.progress.campaign_finished(summary)
            return summary

    def _until_it_ends(self, dataset: Dataset) -> None:
        """Run rounds until none is left or somebody wants a halt; then say so in the ledger."""
        while True:
            try:
                self._all_rounds(dataset)
            except (RayDiedError, UnavailableError) as error:
                kept = len(self.ledger.labels(self.id))
                # A step of many dear calls may take days: each that is kept is progress.
                self.deaths = 1 if kept > self.kept else self.deaths + 1
                self.kept = kept
                if self.deaths > DEATHS_IN_A_ROW:
                    raise
                self._start_anew(error)
                continue
            except Waiting as reason:
                self.ledger.set_campaign_state(self.id, CampaignState.WAITING, str(reason))
                return
            except Suspended as reason:
                if self.ledger.act_on_request(self.id) is not None:
                    self.ledger.event(self.id, str(reason))
                    return
                continue  # withdrawn at the last moment
            # An extension may have come while the models were taken down.
            if self.ledger.finish_campaign(self.id, self.ledger.rounds(self.id)[-1].number):
                return

    def _start_anew(self, error: DesignLoopError) -> None:
        """Say what died, and give whatever ended it a moment to pass."""
        pause = FIRST_PAUSE_S * 2 ** (self.deaths - 1)
        what = str(error).partition(";")[0].partition("\n")[0]
        text = f"{what}; starting anew in {pause:g} s ({self.deaths} of {DEATHS_IN_A_ROW})"
        self.ledger.event(self.id, text, level="warning")
        self.progress.message("warning", text)
        time.sleep(pause)

    def _leave(self, state: CampaignState, why: str) -> None:
        try:
            self.ledger.set_campaign_state(self.id, state, why)
        except DesignLoopError as second:
            # A full disk or a lost lease: the first error is the one to show.
            log.warning("the end of %s could not be recorded: %s", self.id, second)

    def _all_rounds(self, dataset) -> None:
        for name in ("adapters", "surrogates", "logs", "instructions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "campaign.yaml").write_text(self.config.to_yaml(), encoding="utf-8")
        self._tell_what_is_done()
        if all(r.state == "done" for r in self.ledger.rounds(self.id)) and (
            len(self.ledger.rounds(self.id)) > self.control.amended().rounds
        ):
            return
        self.control.check()
        refuse_to_wait(self.ledger, self.id, self.config)
        began = time.monotonic()
        what = "Ray, vLLM and the surrogate's deployment"
        if not self.config.proposer.needs_model:
            what = f"proposer {self.config.proposer.kind}, without a language model"
        self.progress.step_started(0, "start", what)
        models = self.start_models(
            self.config, self.folder, lambda text: self.progress.message("info", text)
        )
        self.progress.step_finished(0, "start", time.monotonic() - began, {})
        context = Context(
            self.id,
            self.control.amended(),
            self.ledger,
            self.folder,
            self.progress,
            models,
            dataset,
            self.control,
        )
        with _closing(models):
            try:
                self._serve_last_surrogate(models)
                self._round(context, 0, {"prepare": prepare})
                number = 1
                while number <= context.take_up().rounds:
                    self._round(context, number, ROUND)
                    number += 1
            except (Suspended, Waiting):
                raise
            except Exception as error:
                check_ray(error)  # a dead Ray has many faces: a refused connection, a lost actor
                raise

    def _round(self, context: Context, number: int, steps: dict[str, Step]) -> None:
        made = _made_by(self.ledger, self.id, number - 1) if number else (None, None)
        started = self.ledger.start_round(
            self.id, number, adapter=made[0], surrogate=made[1], step_names=tuple(steps)
        )
        if started.state == "done":
            return
        for name, step in steps.items():
            self.control.check()
            context.take_up()
            with self.ledger.step(self.id, number, name) as run:
                if not run.todo:
                    continue
                began = time.monotonic()
                self.progress.step_started(number, name)
                step(context, number, run)
                info = dict(run.info)
                seconds = time.monotonic() - began
            self.deaths = 0
            self.progress.step_finished(number, name, seconds, info)
        self.ledger.finish_round(self.id, number)
        self.progress.round_finished(summarise_round(self.ledger, self.id, number))
        self.tracker.update()

    def _serve_last_surrogate(self, models: Services) -> None:
        """Services that have just started know of no surrogate; a resumed round needs its own."""
        made = self.ledger.surrogates(self.id)
        if made:
            models.use_surrogate(Path(made[-1].path))

    def _tell_what_is_done(self) -> None:
        for found in self.ledger.rounds(self.id):
            for step in self.ledger.steps(self.id, found.number):
                if step.state == "done":
                    self.progress.step_finished(
                        found.number, step.name, step.seconds or 0.0, step.info
                    )
            if found.state == "done":
                self.progress.round_finished(summarise_round(self.ledger, self.id, found.number))


def _made_by(ledger: Ledger, campaign: str, number: int) -> tuple[str | None, str | None]:
    """The latest adapter and surrogate when a round had ended."""
    adapters = [a.name for a in ledger.adapters(campaign) if a.round <= number]
    surrogates = [s.version for s in ledger.surrogates(campaign) if s.round <= number]
    return (adapters[-1] if adapters else None), (surrogates[-1] if surrogates else None)
