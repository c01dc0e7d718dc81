"""Runs `deploy` in a process of its own and takes commands as JSON lines on standard input.

python serve_driver.py CONFIG [OWNER]
"""

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
    owner = sys.argv[2] if len(sys.argv) > 2 else None
    with deploy(config, owner=owner, load_surrogate=load) as handle:
        print(json.dumps({"url": handle.base_url}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            try:
                if "swap" in command:
                    reply = {"version": handle.swap_surrogate(command["swap"])}
                elif "metrics" in command:
                    import ray

                    ports = [node["MetricsExportPort"] for node in ray.nodes()]
                    reply = {"addresses": [f"127.0.0.1:{port}" for port in ports]}
                else:
                    from ray import serve

                    reply = {"apps": sorted(serve.status().applications)}
            except DesignLoopError as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
