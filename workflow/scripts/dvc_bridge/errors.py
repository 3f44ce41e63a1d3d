"""Errors meant for people."""


class BridgeError(Exception):
    """Something that the user can fix; the message says what is wrong, where, and what to do.

    It is printed as one line, without a traceback, and ends the process with status 1.
    """
