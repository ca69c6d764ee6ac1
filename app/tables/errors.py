"""What a page says in place of a table that cannot be read."""

from __future__ import annotations


class Unavailable(Exception):
    """A table is missing, empty, damaged or of a schema that this shop does not know.

    Its message is for a person: what is wrong and what to run.
    """
