"""Runs `deploy` in a process of its own and takes commands as JSON lines on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fake_surrogate import load

from defects.errors import DesignLoopError
from serve.app import deploy
from serve.config import ServeConfig


def main() -> None:
    config = ServeConfig.model_validate_json(Path(sys.argv[1]).read_text())
    with deploy(config, load_surrogate=load) as handle:
        print(json.dumps({"url": handle.base_url}), flush=True)
        for line in sys.stdin:
            try:
                reply = {"version": handle.swap_surrogate(json.loads(line)["swap"])}
            except DesignLoopError as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
