"""Hosts that clients may name: the built-in ones and those the server was configured with.

`defects.hosts.get_host` also takes a CIF path. A name from a request must never become a path, so
requests go through this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from defects.configuration import Configuration
from defects.errors import HostError
from defects.hosts import Host, builtin_hosts, get_host

MAX_CELLS = 1024
"""Largest supercell a request may name, in unit cells."""


class HostTable:
    """Host by name and supercell.

    Parameters
    ----------
    files : iterable of Path
        CIF files of further hosts.

    Raises
    ------
    HostError
        A file holds no host.
    """

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self._files = {get_host(str(file), (1, 1, 1)).name: str(file) for file in files}

    def get(self, name: object, supercell: object) -> Host:
        """The host a request names.

        Raises
        ------
        HostError
            Unknown name, or a supercell that is not three positive numbers within `MAX_CELLS`.
        """
        if not (
            isinstance(supercell, list | tuple)
            and len(supercell) == 3
            and all(type(n) is int and n > 0 for n in supercell)
            and supercell[0] * supercell[1] * supercell[2] <= MAX_CELLS
        ):
            raise HostError(
                f"supercell must be three positive integers, at most {MAX_CELLS} cells together"
            )
        if not isinstance(name, str) or name not in {*builtin_hosts(), *self._files}:
            known = ", ".join(sorted({*builtin_hosts(), *self._files}))
            raise HostError(f"unknown host; known: {known}")
        return get_host(self._files.get(name, name), tuple(supercell))  # cached there

    def configuration(self, data: Mapping[str, Any]) -> Configuration:
        """A configuration from a request.

        Raises
        ------
        HostError
            See `get`.
        DatasetError
            The defects do not fit the host.
        """
        host = self.get(data.get("host"), data.get("supercell"))
        return Configuration.from_dict(data, host)
