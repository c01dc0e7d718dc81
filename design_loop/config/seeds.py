"""Seeds of a campaign file: CIF files are read, so that a campaign holds their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from defects.errors import DatasetError, HostError, StructureMismatchError
from defects.hosts import get_host
from design_loop.config.problems import Problem

#: Larger files are no supercell.
_LARGEST = 5_000_000


def seeds_read(sections: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Put the changed sites in the place of CIF files among ``rules.seeds``.

    Parameters
    ----------
    sections
        Field -> validated value, the host's path absolute.
    folder
        Where relative paths begin.

    Returns
    -------
    sections, problems
        A file that cannot be read as the host with defects is a problem and left out.
    """
    from defects.datasets.cif import SiteMatcher, parse_cif
    from defects.rules.places import seed_text

    rules, wanted = sections.get("rules"), sections.get("host")
    if rules is None or wanted is None or not any(_is_file(s) for s in rules.seeds):
        return sections, []
    try:
        matcher = SiteMatcher(get_host(wanted.name, wanted.supercell))
    except HostError:
        return sections, []  # said where hosts are looked at
    seeds, problems = [], []
    for position, seed in enumerate(rules.seeds):
        if not _is_file(seed):
            seeds.append(seed)
            continue
        loc = ("rules", "seeds", position)
        try:
            file = folder / Path(seed).expanduser()
            if file.stat().st_size > _LARGEST:
                raise DatasetError(f"{seed} is larger than {_LARGEST // 10**6} MB")
            found = matcher.match(parse_cif(file.read_text(encoding="utf-8", errors="replace")))
        except OSError as error:
            problems.append(Problem(loc, f"{seed}: cannot be read ({error.strerror or error})"))
        except (StructureMismatchError, DatasetError) as error:
            problems.append(Problem(loc, f"{seed}: {error}"))
        else:
            if found.n_defects:
                seeds.append(seed_text(found.host, found.changes))
            else:
                problems.append(Problem(loc, f"{seed}: is the pristine host, no seed"))
    return sections | {"rules": rules.model_copy(update={"seeds": tuple(seeds)})}, problems


def _is_file(seed: str) -> bool:
    return seed.strip().lower().endswith(".cif")
