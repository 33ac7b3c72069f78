"""Errors a person can act on."""

from __future__ import annotations


class InputError(Exception):
    """Something given to Diorama cannot be used: a file, an option, a machine's state.

    The message is one sentence that names the file, what is wrong and what to do. The command line prints it
    and exits with code 2.
    """
