"""Messages and errors meant for people."""

import sys


class BridgeError(Exception):
    """Something that the user can fix; the message says what is wrong, where, and what to do.

    It is printed as one line, without a traceback, and ends the process with status 1.
    """


def say(text: str) -> None:
    """Print a message at once, to standard error, as Snakemake and DVC do."""
    print(text, file=sys.stderr, flush=True)
