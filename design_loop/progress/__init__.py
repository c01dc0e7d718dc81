"""What a campaign tells while it runs, and the two ways to show it."""

from __future__ import annotations

from design_loop.progress.protocol import Progress, SilentProgress

__all__ = ["Progress", "SilentProgress", "campaign_progress"]


def campaign_progress() -> Progress:
    """The display for this process: live on a terminal, one line per step elsewhere.

    Both write to the standard error stream, so that results can be piped.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        from design_loop.progress.live import LiveProgress

        return LiveProgress(console)
    from design_loop.progress.plain import PlainProgress

    return PlainProgress(console.file)
