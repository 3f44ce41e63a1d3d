"""Errors that are reported to the user."""


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong, where, and how to fix it.

    Scripts print it as one line, without a traceback, and exit with status 1.
    """
