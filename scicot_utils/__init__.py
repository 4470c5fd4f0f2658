"""The thin package behind the notebooks of the Sci-CoT companion."""

__version__ = "0.1.0"


class ScicotError(Exception):
    """An error the user can fix. Its message is one line: what is wrong, where, what is allowed and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(filter(None, map(str.strip, message.splitlines()))))  # quoted values may have several

    def _render_traceback_(self) -> list[str]:
        """The message line that Jupyter prints instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]
