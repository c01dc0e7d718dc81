"""``python -m design_loop.cli``."""

from design_loop.cli import main

main()
