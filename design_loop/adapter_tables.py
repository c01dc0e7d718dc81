"""Tables of adapters and of plans for their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table


def adapters_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """Adapters with their lineage; refused ones are marked."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("adapter", no_wrap=True)
    for name in ("state", "campaign", "round", "parent", "base", "created"):
        table.add_column(name, overflow="fold")
    for s in summaries:
        state = "sound" if s["sound"] else "[red]refused[/red]"
        base = str(s["base_model"] or "-").rstrip("/").rpartition("/")[2]
        told = [s["campaign"], s["round"], s["parent"]]
        table.add_row(
            s["name"],
            state,
            *("-" if value is None else str(value) for value in told),
            base,
            s["created"] or "-",
        )
    return table


def adapter_table(manifest: Mapping[str, Any], chain: Sequence[Mapping[str, Any]]) -> Table:
    """One adapter: its manifest flattened by one level, without the file hashes, and its line."""
    table = Table(title=manifest["name"], title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in manifest.items():
        if key in ("files", "name", "kind", "seal", "manifest_version"):
            continue
        if isinstance(value, Mapping):
            for inner, content in value.items():
                table.add_row(f"{key}.{inner}", _text(content))
        else:
            table.add_row(key, _text(value))
    for ancestor in chain[1:]:
        problem = ancestor.get("problem")
        table.add_row("goes on from", ancestor["name"] + (f" ({problem})" if problem else ""))
    return table


def plan_tables(summary: Mapping[str, Any]) -> tuple[Table, Table]:
    """A plan: its settings and counts, and the memory of each GPU."""
    facts = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for key, value in summary.items():
        if key in ("memory", "gpu_memory", "fits", "problem", "advice"):
            continue
        told = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        facts.add_row(key.replace("_", " "), str(told))
    memory = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    memory.add_column("on each GPU", no_wrap=True)
    memory.add_column("GB", justify="right")
    for key, size in summary["memory"].items():
        memory.add_row(_MEMORY[key], f"{size / 1e9:.2f}", end_section=key == "reserved")
    memory.add_row("there are", f"{summary['gpu_memory'] / 1e9:.2f}")
    return facts, memory


_MEMORY = {
    "weights": "frozen weights",
    "gathered": "weights gathered for the layers at work",
    "update": "update, its gradient and optimizer",
    "activations": "activations",
    "working": "gradients of the logits",
    "reserved": "context, buffers, fragments",
    "total": "in all, at the peak",
}


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
