"""The one exception that is shown to people as a single line instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: what is wrong, where, and what to do."""
