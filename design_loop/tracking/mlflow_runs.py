"""MLflow's client, as far as a campaign needs it, its errors put into words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from design_loop.tracking.content import Content
from design_loop.tracking.errors import TrackingError

#: What MLflow takes in one call.
_METRICS, _PARAMS, _TAGS = 1000, 100, 100
_CAMPAIGN, _ROUND, _PARENT = "design_loop.campaign", "design_loop.round", "mlflow.parentRunId"
#: Lengths that every version of the server takes.
_LONGEST_TAG = 5000


class MlflowRuns:
    """Runs of one experiment.

    Parameters
    ----------
    uri : str or None
        Server or database; what MLflow's own environment says where it is None.
    experiment : str
        Made where it is missing.
    timeout_s : float
        For one answer.

    Raises
    ------
    TrackingError
        MLflow is not installed, or the server cannot be reached.
    """

    def __init__(self, uri: str | None, experiment: str, timeout_s: float) -> None:
        # Nothing is told to anybody but the server named; a server that is away costs one wait.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
        os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
        try:
            from mlflow import MlflowClient, get_tracking_uri
        except ImportError as error:
            raise TrackingError(
                "tracking needs MLflow's client: pip install 'design-loop[mlflow]'"
            ) from error
        self._uri = uri or get_tracking_uri()
        self.server = without_password(self._uri)
        self._experiment = experiment
        with self._explained():
            self._client = MlflowClient(self._uri)
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                self._id = self._client.create_experiment(experiment, _place(self._uri))
            elif found.lifecycle_stage != "active":
                raise TrackingError(
                    f"{self.server}: experiment {experiment!r} was deleted there; restore it, or "
                    "name another one in tracking.experiment"
                )
            else:
                self._id = found.experiment_id

    def find(self, known: str | None, campaign: str, place: str) -> str | None:
        """The run of a campaign or round: the one known, else one with its tags; None without.

        A process that was killed may have made a run and not remembered it.
        """
        from mlflow.exceptions import MlflowException

        with self._explained():
            if known is not None:
                try:
                    if self._client.get_run(known).info.lifecycle_stage == "active":
                        return known
                except MlflowException as error:
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
            tagged = f"tags.`{_CAMPAIGN}` = '{campaign}' AND tags.`{_ROUND}` = '{place}'"
            found = self._client.search_runs([self._id], tagged, max_results=1)
            return found[0].info.run_id if found else None

    def create(self, content: Content, parent: str | None) -> str:
        """Make a run with its tags."""
        tags = {"mlflow.runName": content.name, **_short(content.tags)}
        if parent is not None:
            tags[_PARENT] = parent
        with self._explained():
            run = self._client.create_run(self._id, start_time=_ms(content), tags=tags)
            return run.info.run_id

    def send(self, run: str, content: Content) -> None:
        """Tell a run its figures; what it knows already stays as it is."""
        from mlflow.entities import Metric, Param, RunTag

        when = _ms(content)
        metrics = [Metric(k, v, when, content.step) for k, v in content.metrics.items()]
        params = [Param(k, v) for k, v in content.params.items()]
        tags = [RunTag(k, v) for k, v in _short(content.tags).items()]
        with self._explained():
            for rows, most, name in (
                (metrics, _METRICS, "metrics"), (params, _PARAMS, "params"), (tags, _TAGS, "tags"),
            ):  # fmt: skip
                for start in range(0, len(rows), most):
                    part: dict[str, Any] = {name: rows[start : start + most]}
                    self._client.log_batch(run, **part)
            if content.status == "RUNNING":
                self._client.update_run(run, status="RUNNING")
            else:
                self._client.set_terminated(run, content.status, end_time=when)

    def send_curve(self, run: str, contents: Mapping[int, Content]) -> None:
        """The rounds' figures as curves of the campaign's run."""
        from mlflow.entities import Metric

        rows = [
            Metric(name, value, _ms(content), content.step)
            for content in contents.values()
            for name, value in content.metrics.items()
        ]
        with self._explained():
            for start in range(0, len(rows), _METRICS):
                self._client.log_batch(run, metrics=rows[start : start + _METRICS])

    def send_files(self, run: str, folder: Path) -> None:
        """Everything in a folder, as artifacts."""
        with self._explained():
            self._client.log_artifacts(run, str(folder))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException, OSError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise TrackingError(
                f"{self.server}: the tracking server did not take it ({lines[0][:200]}). Nothing "
                "is lost: `design-loop campaign track ID` sends what is missing"
            ) from error


def without_password(uri: str) -> str:
    """An address as it may be shown and kept."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _place(uri: str) -> str | None:
    """Where artifacts go: beside a database file; else where the server says.

    By itself MLflow would put them below the working folder, where nobody looks for them.
    """
    if not uri.startswith("sqlite:///"):
        return None
    file = Path(uri.removeprefix("sqlite:///")).absolute()
    return file.with_name(f"{file.stem}-artifacts").as_uri()


def _ms(content: Content) -> int:
    return int(content.time.timestamp() * 1000)


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:_LONGEST_TAG] for name, value in tags.items()}
