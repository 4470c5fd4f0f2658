"""The thin package behind the notebooks of the Sci-CoT companion."""

from __future__ import annotations

__version__ = "0.1.0"


class ScicotError(Exception):
    """An error that its reader can mend: one line that says what, where, what is allowed and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter prints instead of a traceback: the one line."""
        return [f"{type(self).__name__}: {self}"]
