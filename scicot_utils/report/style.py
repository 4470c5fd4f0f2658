"""The house style: how figures, tables and sentences look, and their way into the book.

Text from models and data sets is untrusted: all of it passes through an escape on its way to HTML.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist

from scicot_utils import ScicotError, tables
from scicot_utils.recipe import REGISTRY

ARMS = {name: arm for name, arm in REGISTRY.items() if arm.kind != "untrained"}  # those that have results of their own
LONGEST = 4000  # characters of one cell that a page shows; a file holds all


class ReportError(ScicotError):
    """Something to be shown that is not there."""


def arm_name(arm: str) -> str:
    """An arm's name for readers, on one line."""
    return ARMS[arm].name if arm in ARMS else arm


def set_style() -> None:
    """The house style of every figure: vector, text as text, white ground so that both themes can show it."""
    sns.set_theme(context="notebook", style="whitegrid")
    matplotlib.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "svg.fonttype": "path",  # looks the same wherever it is read
            "svg.hashsalt": "scicot",  # the same figure is the same file
            "font.family": "sans-serif",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def panels(titles: Sequence[str], size: tuple[float, float], **shared: bool) -> tuple[plt.Figure, list[plt.Axes]]:
    """A row of panels with a shared y axis, one for each title. `size` is in inches."""
    figure, (axes,) = plt.subplots(1, len(titles), figsize=size, sharey=True, squeeze=False, **shared)
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title, fontsize=10)
    return figure, list(axes)


def legend_below(figure: plt.Figure, handles: Sequence[Artist] = (), columns: int = 3) -> None:
    """One legend for all panels, below them. Default handles: the labelled lines of the first panel."""
    handles = handles or figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def measures_of(names: Iterable[str]) -> list[str]:
    """The scorings among `names`, in their order; open answers are not ranked."""
    found = {*names}
    return [name for name in ("generated", "ranked") if name in found]


class Picture:
    """A finished figure with the sentence that tells its finding; shows as an image with that alt text.

    `ground`: the colour behind it, or "none" for a drawing that both themes can bear.
    """

    ending = "svg"

    def __init__(self, figure: plt.Figure, alt: str, ground: str = "white"):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", facecolor=ground, metadata={"Date": None})
        plt.close(figure)
        self.svg, self.alt, self._ground = drawn.getvalue(), alt, ground
        self._width = figure.get_figwidth() * 96  # CSS pixels an inch

    def save(self, path: Path) -> Picture:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.svg)
        return self

    def _repr_html_(self) -> str:
        source = base64.b64encode(self.svg).decode()
        return (
            f'<div style="overflow-x:auto" tabindex="0"><img src="data:image/svg+xml;base64,{source}" '
            f'alt="{html.escape(self.alt, quote=True)}" '
            f'style="width:100%;min-width:{min(self._width, 560):.0f}px;max-width:{self._width:.0f}px;height:auto;background:{self._ground}"></div>'
        )

    def __repr__(self) -> str:
        return self.alt


class Table:
    """Rows as an HTML table, everything escaped; `save` writes all of them as CSV.

    `formats`: column → format string for its numbers. `show`: the columns that are displayed, all if empty.
    """

    ending = "csv"

    def __init__(
        self, rows: Iterable[Mapping[str, object]], formats: Mapping[str, str] | None = None, show: Sequence[str] = ()
    ):
        self.frame = pd.DataFrame(list(rows), dtype=object)  # whole numbers stay whole
        self._formats, self._show = dict(formats or {}), list(show)

    def save(self, path: Path) -> Table:
        tables.write_csv(list(self.frame.columns), self.frame.to_dict("records"), path)
        return self

    def _shown(self) -> pd.DataFrame:
        """What is displayed, as text."""
        shown = self.frame[self._show or list(self.frame.columns)].copy()
        for column in shown.columns:
            shown[column] = [
                self._formats.get(column, "{:,}" if isinstance(value, int) else "{:.4g}").format(value)
                if _is_number(value)
                else "–"
                if value is None or value != value
                else visible(value).replace("\n", " ↵ ")  # pandas would write a backslash and an n
                if isinstance(value, str)
                else value
                for value in shown[column]
            ]
        return shown

    def markdown(self) -> str:
        """As a Markdown table, for a dataset card."""
        shown = self._shown()
        lines = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
        return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)

    def _repr_html_(self) -> str:
        body = self._shown().to_html(index=False, escape=True, border=0, classes="table", justify="left")
        return f'<div style="overflow-x:auto" tabindex="0">{body}</div>'

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


class Details:
    """A table behind a line that opens it, so that a long one does not stand in a reader's way."""

    ending = "csv"

    def __init__(self, told: str, shown: Table):
        self.line, self.shown = f"{told} (table of {len(shown.frame)} rows)", shown
        self.save = shown.save

    def _repr_html_(self) -> str:
        return f"<details><summary>{html.escape(self.line)}</summary>{self.shown._repr_html_()}</details>"

    def __repr__(self) -> str:
        return f"{self.line}\n{self.shown!r}"


def pivot(rows: Sequence[Mapping[str, object]], name: str, told: str) -> list[dict[str, object]]:
    """Columns as rows, for few rows of many columns: what stands under `name` heads the new columns, `told` the first."""
    rest = [column for column in (rows[0] if rows else ()) if column != name]
    return [{told: column} | {str(row[name]): row[column] for row in rows} for column in rest]


def plural(number: int, noun: str) -> str:
    """1, seed → '1 seed'; 3, seed → '3 seeds'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Stack:
    """Several of these one below the other, as one thing to paste."""

    def __init__(self, shown: Iterable[Picture | Table | Details | Paragraph]):
        self.shown = list(shown)

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.shown)

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.shown))


SCORE_COLUMNS = ("arm", "split", "metric", "value", "low", "high", "n")


def scores(rows: Sequence[Mapping[str, object]]) -> Stack:
    """Rows of `scoring.evaluate` for reading; those of single forms of question (`generated:can_do`) are folded."""
    formats = dict.fromkeys(("value", "low", "high"), "{:.3f}")
    shown, of_form = [], []
    for row in rows:
        (of_form if ":" in str(row["metric"]) else shown).append({name: row[name] for name in SCORE_COLUMNS})
    folded = [Details("By form of question", Table(of_form, formats))] if of_form else []
    return Stack([Table(shown, formats), *folded])


def visible(text: str) -> str:
    """Text from elsewhere as a page can show it: control characters and those that turn the direction of reading by
    their pictures or names, and no more of it than a reader wants. Escaping is the business of whoever makes the page.
    """
    shown = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda found: chr(0x2400 + ord(found[0])), text)
    shown = re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda found: f"⟨U+{ord(found[0]):04X}⟩", shown)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}… ({len(text):,} characters)"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


class Paragraph:
    """Plain text as one HTML paragraph, escaped; `**` and backticks have no meaning in it."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"

    def __repr__(self) -> str:
        return self.text


def glue(**named: object) -> None:
    """Export values to the book's pages, which paste them by name. Nothing is displayed."""
    from myst_nb import glue as myst_glue  # here, since only notebooks that feed prose need it

    for name, value in named.items():
        myst_glue(name, value, display=False)


def show(*, paste: bool = True, **named: object) -> None:
    """Display results in order and, if `paste`, export each to the book's pages under its name."""
    from IPython.display import display  # here, as above

    if paste:
        glue(**named)
    display(*named.values())


def percent(value: float) -> str:
    """0.8125 → '81.2%' (half to even)."""
    return f"{100 * value:.1f}%"


def interval(low: float, high: float) -> str:
    """(0.78, 0.84) → '78.0–84.0%'."""
    return f"{100 * low:.1f}–{100 * high:.1f}%"


def lengths_figure(lengths: Mapping[str, Sequence[int]], *, label: str) -> Picture:
    """Histograms of lengths, one line a group."""
    figure, axes = plt.subplots(figsize=(7, 3))
    for (name, values), colour in zip(lengths.items(), ("#005B96", "#E69F00", "#009E73", "#D55E00"), strict=False):
        axes.hist(values, bins=30, histtype="step", lw=2, color=colour, label=name)
    axes.set(xlabel=label, ylabel="number")
    axes.legend(frameon=False)
    told = "; ".join(
        f"{name}: median {pd.Series(list(values)).median():.0f}, n = {len(values)}" for name, values in lengths.items()
    )
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {told}.")


def loss_figure(losses: Sequence[tuple[int, float]], *, title: str) -> Picture:
    """Training loss by optimiser step."""
    steps, values = zip(*losses, strict=True)
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.plot(steps, values, color="#005B96", lw=2)
    axes.set(xlabel="optimiser step", ylabel="loss (nats per token)", yscale="log", title=title)
    return Picture(
        figure, f"{title}: loss falls from {values[0]:.2f} to {values[-1]:.3f} nats per token in {steps[-1]} steps."
    )
