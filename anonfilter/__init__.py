"""anonfilter: anonymise video the way ffmpeg filters it.

The command line is `anonfilter`; the same graph from Python is `anonfilter.api`.
Nothing heavy is imported here, so that `anonfilter -h` answers at once.
"""

__version__ = "0.1.0"
