"""What a campaign tells while it runs, and the two ways to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from design_loop.progress.protocol import Progress, SilentProgress

if TYPE_CHECKING:
    from design_loop.progress.state import DisplayState

__all__ = ["Progress", "SilentProgress", "campaign_progress"]


def campaign_progress(state: DisplayState | None = None) -> Progress:
    """The display for this process: live on a terminal, one line per step elsewhere.

    Both write to the standard error stream, so that results can be piped.

    Parameters
    ----------
    state
        What is displayed; a new one by default.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        from design_loop.progress.live import LiveProgress

        return LiveProgress(console, state)
    from design_loop.progress.plain import PlainProgress

    return PlainProgress(console.file, state)
