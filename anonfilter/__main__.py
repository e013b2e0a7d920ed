"""python -m anonfilter"""

import sys

from anonfilter.cli import main

if __name__ == "__main__":
    sys.exit(main())
