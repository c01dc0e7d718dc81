"""From a file to a validated campaign, or to all its problems with their lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from defects.errors import ConfigError
from design_loop.config.campaign import CampaignConfig
from design_loop.config.consistency import contradictions, without_effect
from design_loop.config.explain import booleans, explain
from design_loop.config.marks import Document, parse_yaml
from design_loop.config.problems import CampaignFileError, Problem, did_you_mean, format_problem
from design_loop.config.properties import column_problems
from design_loop.config.seeds import seeds_read

log = logging.getLogger(__name__)


def load_campaign(path: str | Path) -> CampaignConfig:
    """Read a campaign file and check it against itself and against what is there.

    Relative paths in the file start at the file's folder; in the result they are absolute.
    Warnings are logged.

    Parameters
    ----------
    path
        A YAML file.

    Raises
    ------
    ConfigError
        The file cannot be read.
    CampaignFileError
        With every problem of the file, its line, and what to write instead.
    """
    path = Path(path).expanduser()
    return _read(campaign_text(path), str(path), path.absolute().parent)


def campaign_text(path: Path) -> str:
    """Read the text of a campaign file.

    Raises
    ------
    ConfigError
        The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file; shipped campaigns are {', '.join(preset_names())} "
            f"(in {_presets()})"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text in UTF-8 (byte {error.start})") from error


def parse_campaign(text: str, name: str = "campaign.yaml") -> CampaignConfig:
    """Read the text of a campaign file and check it against itself only.

    Neither hosts nor datasets nor models are looked at, and paths stay as they are written.

    Raises
    ------
    CampaignFileError
        With every problem of the text.
    """
    return _read(text, name, None)


def load_preset(name: str, check: bool = True) -> CampaignConfig:
    """Read a shipped campaign.

    Parameters
    ----------
    name
        One of `preset_names`.
    check
        Also look for the dataset and the models that it names (relative to the working folder).

    Raises
    ------
    ConfigError
        There is none of this name, or something that it names is not there.
    """
    path = preset_path(name)
    return _read(path.read_text(encoding="utf-8"), path.name, Path.cwd() if check else None)


def check_campaign(
    data: Mapping[str, Any], name: str = "campaign", folder: Path | None = None
) -> CampaignConfig:
    """Read a campaign that did not come as a file: as plain data.

    Parameters
    ----------
    data
        What a campaign file would hold.
    name
        Stands in front of every problem.
    folder
        Where relative paths start; None looks at nothing outside of `data`.

    Raises
    ------
    CampaignFileError
        With every problem.
    """
    return _check(Document(data=data), name, folder)


def preset_path(name: str) -> Path:
    """Return the file of a shipped campaign.

    Raises
    ------
    ConfigError
        There is none of this name.
    """
    if name not in preset_names():
        raise ConfigError(f"no shipped campaign {name!r}{did_you_mean(name, preset_names())}")
    return _presets() / f"{name}.yaml"


def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped campaigns."""
    return tuple(sorted(path.stem for path in _presets().glob("*.yaml")))


def _presets() -> Path:
    return Path(str(resources.files("design_loop") / "presets"))


def _read(text: str, name: str, folder: Path | None) -> CampaignConfig:
    return _check(parse_yaml(text), name, folder)


def _check(document: Document, name: str, folder: Path | None) -> CampaignConfig:
    problems: list[Problem] = []
    sections: dict[str, Any] = {}
    if isinstance(document.data, dict):
        sections, found = _validate(document.data)
        problems += found + contradictions(sections)
        problems += column_problems(sections.get("properties") or {})
        problems += without_effect(sections)
        if folder is not None:
            from design_loop.config.feasibility import infeasible

            sections, found = seeds_read(_resolved(sections, folder), folder)
            problems += found + infeasible(sections)
    elif not document.problems:
        what = "is empty" if document.data is None else "is no mapping of keys to values"
        keys = ", ".join(n for n, f in CampaignConfig.model_fields.items() if f.is_required())
        problems.append(Problem((), f"{what}; a campaign has the keys {keys}, ..."))
    _report(name, document, problems)
    return CampaignConfig.model_validate(sections)


def _report(name: str, document: Document, problems: list[Problem]) -> None:
    """Log the warnings; raise if there is anything worse."""
    lines = [(document.line(problem.loc), problem) for problem in dict.fromkeys(problems)]
    lines = sorted([*document.problems, *lines], key=lambda item: item[0] or 0)
    errors = [(line, problem) for line, problem in lines if not problem.warning]
    if errors:
        raise CampaignFileError(name, errors)
    for line, problem in lines:
        log.warning("%s", format_problem(name, line, problem))


def _validate(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Validate every section by itself, so that one wrong section hides no other's problems."""
    sections: dict[str, Any] = {}
    problems = list(booleans(data, CampaignConfig))
    try:
        whole = CampaignConfig.model_validate(data)
    except ValidationError as error:
        # An error of no place is a contradiction; it comes again, with its place, from its check.
        problems += [p for p in explain(error, CampaignConfig) if p.loc]
    else:
        if not problems:
            return {name: getattr(whole, name) for name in CampaignConfig.model_fields}, []
    wrong = {problem.loc[0] for problem in problems}
    for name, field in CampaignConfig.model_fields.items():
        if name in wrong:
            continue
        if name in data:
            sections[name] = TypeAdapter(field.rebuild_annotation()).validate_python(data[name])
        else:
            sections[name] = field.get_default(call_default_factory=True)
    return sections, problems


def _resolved(sections: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of a file absolute."""
    from defects.datasets import bundled_datasets
    from design_loop.config.feasibility import is_path

    def absolute(name: str) -> str:
        return str(folder / Path(name).expanduser())

    def table_found(call: Any) -> Any:
        table = call.settings.get("dataset")
        if not isinstance(table, str) or table in bundled_datasets():
            return call
        return call.model_copy(update={"settings": {**call.settings, "dataset": absolute(table)}})

    resolved = dict(sections)
    host, oracle = sections.get("host"), sections.get("oracle")
    if host is not None and host.name.lower().endswith(".cif"):
        resolved["host"] = host.model_copy(update={"name": absolute(host.name)})
    if "dataset" in sections and sections["dataset"] not in bundled_datasets():
        resolved["dataset"] = absolute(sections["dataset"])
    if "base_model" in sections:
        name = sections["base_model"]
        # A folder beside the file goes before a model of that name on Hugging Face.
        if is_path(name) or (folder / name / "config.json").is_file():
            resolved["base_model"] = absolute(name)
    if oracle is not None:
        stages = tuple(table_found(stage) for stage in oracle.then)
        resolved["oracle"] = table_found(oracle).model_copy(update={"then": stages})
    return resolved
