"""python -m anonfilter, and the command: what a signal finds before the imports are done."""

import sys


def main() -> int:
    """The command line's exit status."""
    try:
        from anonfilter.cli import main as run
    except KeyboardInterrupt:
        return 255
    return run()


if __name__ == "__main__":
    sys.exit(main())
