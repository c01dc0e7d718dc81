"""``python -m design_loop.cli``."""

from design_loop.cli import main

if __name__ == "__main__":
    main()
