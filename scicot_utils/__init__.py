"""The thin package behind the notebooks of the Sci-CoT companion."""

from __future__ import annotations

import atexit
import gc

# What is imported lives to the end. Gone over by every small collection, and once more at the end, half a million such
# objects (torch, transformers) add two seconds to each notebook.
gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)

__version__ = "0.1.0"


class ScicotError(Exception):
    """An error that its reader can mend: one line that says what, where, what is allowed and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter prints instead of a traceback: the one line."""
        return [f"{type(self).__name__}: {self}"]
