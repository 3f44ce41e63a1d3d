"""Errors meant for people."""


class UserError(Exception):
    """Something that the user can put right; the message says what, where and how.

    Scripts print it as one line, without a traceback, and end with status 1.
    """
