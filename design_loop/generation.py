"""``design-loop generate``: candidates for targets, outside of a campaign."""

from __future__ import annotations

import csv
import json
import math
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from defects.asking import draw_asked
from defects.errors import DatasetError, ModelError, ParseError, RuleError
from defects.hosts import Host
from defects.properties import properties_from
from defects.rules import Rules
from defects.targets import Target
from defects.text import (
    Frame,
    Request,
    build_prompt,
    default_top_p,
    longest_answer,
    parse_answer,
    random_frame,
)

_PER_PROMPT = 8


def generate_to_file(
    *,
    base: str,
    adapter: Path | None,
    host: Host,
    num: int,
    out: Path,
    targets: Sequence[Target] = (),
    table: Sequence[Mapping[str, float]] | None = None,
    defects: Sequence[str] | None = None,
    min_defects: int | None = None,
    max_defects: int | None = None,
    fmt: str | None = None,
    temperature: float = 1.0,
    top_p: float | None = None,
    seed: int = 0,
    constrained: bool = True,
    host_file: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Sample candidates with vLLM and write one JSON line per sample, failures included.

    Parameters
    ----------
    base : str
        ``small``, a folder or a Hugging Face name.
    adapter : Path, optional
        Finished adapter folder; rules and format not given here are those it was trained with.
    host : Host
    num : int
        Samples.
    out : Path
        Written as a whole at the end.
    targets : sequence of Target
        Every prompt asks for values drawn from these.
    table : sequence of mappings, optional
        Instead of `targets`: the values that one prompt after the other asks for, in turn.
    constrained : bool
        Decode under a grammar of the rules, so that every answer is valid.
    host_file : Path, optional
        CIF file of a host that is not built in.
    progress : callable, optional
        Told (done, total).

    Returns
    -------
    dict
        How many were ``ok``, and how many failed for which reason.

    Raises
    ------
    ModelError
        When the base or the adapter is missing, unfinished or altered.
    """
    from serve.app import deploy
    from serve.client import ServeClient
    from serve.config import (
        FULL_FORMAT_GUESSES,
        LORA_RANKS,
        EngineConfig,
        LoraSettings,
        ServeConfig,
    )
    from serve.constraints import constraints_of
    from training.bundled import resolve_base
    from training.manifest import read_adapter

    found = None if adapter is None else read_adapter(adapter)
    facts: dict[str, Any] = {} if found is None else found.manifest
    rules = _rules(host, facts, defects, min_defects, max_defects)
    fmt = fmt or facts.get("instruction_format") or "compact"
    own = properties_from(facts.get("own_properties"))
    rng = np.random.default_rng(seed)
    n_prompts = -(-num // _PER_PROMPT)
    requests = []
    for number in range(n_prompts):
        asked = table[number % len(table)] if table else draw_asked(targets, [], rng)
        frame = random_frame(host, rng) if fmt == "full" else Frame()
        requests.append(Request(host, rules, asked, frame, own))
    rank = int(facts.get("hyperparameters", {}).get("rank", 8))
    with tempfile.TemporaryDirectory(prefix="design-loop-") as empty:
        roots = (Path(empty),) if found is None else (found.path.parent,)
        config = ServeConfig(
            base_model=resolve_base(base),
            adapter_roots=roots,
            host_files=() if host_file is None else (host_file,),
            lora=LoraSettings(max_lora_rank=min(r for r in LORA_RANKS if r >= rank)),
            engine=EngineConfig(speculative_tokens=FULL_FORMAT_GUESSES if fmt == "full" else 0),
        )
        # In a cluster that was joined, neither a server nor a campaign is to be replaced.
        owner = f"generate-{secrets.token_hex(4)}"
        with deploy(config, owner=owner) as handle, ServeClient(handle.base_url) as client:
            done = 0

            def advance(n: int) -> None:
                nonlocal done
                done += n
                if progress is not None:
                    progress(min(done * _PER_PROMPT, num), num)

            answers = client.complete(
                [build_prompt(r, fmt) for r in requests],
                "base" if found is None else f"base:{found.name}",
                n=_PER_PROMPT,
                temperature=temperature,
                top_p=top_p or default_top_p(fmt),
                max_tokens=longest_answer(requests[0], fmt) + 16,
                seed=seed,
                constraints=constraints_of(requests, fmt) if constrained else None,
                on_done=advance,
            )
    rows = [
        _row(i * _PER_PROMPT + j, request, fmt, answer)
        for i, (request, of_prompt) in enumerate(zip(requests, answers, strict=True))
        for j, answer in enumerate(of_prompt)
    ][:num]
    _mark_repeats(rows)
    for row in rows:
        row["adapter"] = None if found is None else found.name
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    partial.replace(out)
    return dict(Counter(r["reason"] or "ok" for r in rows).most_common())


def read_asked(path: Path) -> list[dict[str, float]]:
    """Values to ask for from a CSV file: a column per property, a prompt per row.

    Raises
    ------
    DatasetError
        When there is no such file, no row, or a cell is no number; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as f:
            reader = csv.DictReader(f)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the values to ask for in {path}: {error}") from error
    if not rows:
        raise DatasetError(f"{path} holds no row: a header of properties, then numbers")
    asked = []
    for line, row in rows:
        try:
            values = {str(name): float(value) for name, value in row.items()}
        except (TypeError, ValueError):
            raise DatasetError(f"{path}, line {line}: {row} is not a number per column") from None
        if not all(math.isfinite(v) for v in values.values()):
            raise DatasetError(f"{path}, line {line}: a value is not finite")
        asked.append(values)
    return asked


def _rules(
    host: Host,
    facts: dict[str, Any],
    defects: Sequence[str] | None,
    low: int | None,
    high: int | None,
) -> Rules:
    trained = facts.get("rules") or {}
    names = tuple(defects or trained.get("defects") or ())
    if not names:
        raise RuleError(
            "no rules: name the allowed defects with --defect V_S --defect Se_S ..., or give an "
            "adapter, which knows those it was trained with"
        )
    # Other defects than it was trained with: what else it was told of those means nothing.
    given = {} if defects else dict(trained)
    given["defects"] = names
    given["min_defects"] = low if low is not None else trained.get("min_defects", 1)
    given["max_defects"] = high if high is not None else trained.get("max_defects", 6)
    rules = Rules.model_validate(given)
    rules.validate_for(host)
    if facts.get("host") and facts["host"].split("-")[0] != host.key.split("-")[0]:
        raise ModelError(f"the adapter was trained on {facts['host']}, asked for is {host.key}")
    return rules


def _row(index: int, request: Request, fmt: str, answer: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": index,
        "asked": dict(request.properties),
        "ok": False,
        "reason": None,
        "detail": None,
        "key": None,
        "description": None,
        "configuration": None,
        "text": answer.text,
    }
    try:
        if answer.finish_reason == "length":
            raise ParseError("truncated", "the answer was cut at its longest length")
        configuration = parse_answer(answer.text, request, fmt)
    except ParseError as error:
        return row | {"reason": error.reason, "detail": error.detail}
    return row | {
        "ok": True,
        "key": configuration.key,
        "description": configuration.description,
        "configuration": configuration.to_dict(),
    }


def _mark_repeats(rows: list[dict[str, Any]]) -> None:
    """Name the first sample of the same crystal; a repeat stays valid."""
    first: dict[str, int] = {}
    for row in rows:
        row["duplicate_of"] = first.get(row["key"]) if row["ok"] else None
        if row["ok"]:
            first.setdefault(row["key"], row["index"])
