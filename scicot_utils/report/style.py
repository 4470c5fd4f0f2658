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

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from numpy.typing import ArrayLike

from scicot_utils import ScicotError, tables
from scicot_utils.recipe import REGISTRY
from scicot_utils.tables import Row

ARMS = {name: arm for name, arm in REGISTRY.items() if arm.kind != "untrained"}  # those that have results of their own
MEASURES = ("generated", "ranked")  # the scorings of an answer
HOUSE_ORDER = (*ARMS, *MEASURES)
OFFSETS = {"generated": -0.17, "ranked": 0.17}  # where a scoring stands in the row of its arm or variant
REFERENCE_LINE = {"color": "#555555", "lw": 1.2}  # zero, chance, a published figure
FRACTION = "{:.4g}"  # the format of a fractional number, unless a table has another
LONGEST = 4000  # characters of one cell that a page shows; a file holds all


class ReportError(ScicotError):
    """Something to be shown that is not there."""


def arm_name(arm: str) -> str:
    """An arm's name for readers, on one line."""
    return ARMS[arm].name if arm in ARMS else arm


def ordered(names: Iterable[str]) -> list[str]:
    """The arms or scorings among `names`, in the order of all figures and tables; open answers are not ranked."""
    names = {*names}
    return [name for name in HOUSE_ORDER if name in names]


def pair_name(first: str, second: str) -> str:
    """A difference between two arms, for readers."""
    return f"{arm_name(first)} minus {arm_name(second)}"


def set_style() -> None:
    """The house style of every figure: vector, text as text, white ground so that both themes can show it."""
    rc = {
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "svg.fonttype": "path",  # looks the same wherever it is read
        "svg.hashsalt": "scicot",  # the same figure is the same file
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    sns.set_theme(context="notebook", style="whitegrid", font="sans-serif", rc=rc)


def panels(
    titles: Sequence[str], size: tuple[float, float], *, rows: Sequence[str] = (), xlabel: str = "", ylabel: str = ""
) -> tuple[plt.Figure, list[plt.Axes]]:
    """A row of panels with a shared y axis: from 0 to 100% or, if there are `rows`, these from top to bottom. `size` is
    in inches. Raises ValueError without titles.
    """
    if not titles:
        raise ValueError("no figure: found no rows to draw, allowed: at least one comparison, arm or test")
    figure, (axes,) = plt.subplots(1, len(titles), figsize=size, sharex=bool(rows), sharey=True, squeeze=False)
    axes[0].set(ylim=(len(rows) - 0.5, -0.5) if rows else (0, 103), ylabel=ylabel)
    if rows:
        axes[0].set_yticks(range(len(rows)), rows)
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel(xlabel)
        panel.grid(axis="y", visible=not rows)
    return figure, list(axes)


def draw_interval(
    axes: plt.Axes, values: Sequence, at: ArrayLike, color: str, filled: bool = True, upright: bool = False, **mark: str
) -> None:
    """A mark on a line, of `values` (value, low, high), that stands `at` on the other axis; or several of arrays."""
    value, low, high = values
    draw, ends = (axes.vlines, (at, value)) if upright else (axes.hlines, (value, at))
    draw(at, low, high, color=color, lw=2)
    axes.plot(*ends, **{"marker": "o", "ls": "", "color": color, "mfc": color if filled else "white"} | mark)


def legend_mark(label: str, marker: str = "o", color: str = "#333333", **mark: str) -> plt.Line2D:
    """A mark without a line, for `legend_below`."""
    return plt.Line2D([], [], ls="", marker=marker, color=color, label=label, **mark)


def legend_below(figure: plt.Figure, handles: Sequence[Artist] = (), columns: int = 3) -> None:
    """One legend for all panels, below them. Default handles: the labelled lines of the first panel."""
    handles = handles or figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


class Picture:
    """A finished figure with its finding as alt text. `ground`: its background, "none" for a drawing."""

    ending = "svg"

    def __init__(self, figure: plt.Figure, alt: str, ground: str = "white"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", facecolor=ground, metadata={"Date": None})
        plt.close(figure)
        self.svg, self.alt, self._ground = buffer.getvalue(), alt, ground
        self._width = figure.get_figwidth() * 96  # CSS pixels an inch

    def save(self, path: Path) -> Picture:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.svg)
        return self

    def _repr_html_(self) -> str:
        source = base64.b64encode(self.svg).decode()
        width = f"width:100%;min-width:{min(self._width, 560):.0f}px;max-width:{self._width:.0f}px"
        return _scrolled(
            f'<img src="data:image/svg+xml;base64,{source}" alt="{html.escape(self.alt, quote=True)}" '
            f'style="{width};height:auto;background:{self._ground}">'
        )

    def __repr__(self) -> str:
        return self.alt


class Table:
    """Rows as an HTML table, everything escaped; `save` writes all of them as CSV. `formats`: column → format of its
    numbers, or one for all fractional numbers. `show`: the columns that are displayed, all if empty.
    """

    ending = "csv"

    def __init__(self, rows: Iterable[Row], formats: Mapping[str, str] | str = FRACTION, show: Sequence[str] = ()):
        self.frame = pd.DataFrame(list(rows), dtype=object)  # whole numbers stay whole
        self._formats, self._fraction = ({}, formats) if isinstance(formats, str) else (formats, FRACTION)
        self._show = list(show)

    def save(self, path: Path) -> Table:
        tables.write_csv(list(self.frame.columns), self.frame.to_dict("records"), path)
        return self

    def _displayed(self) -> pd.DataFrame:
        """The displayed columns, as text."""
        frame = self.frame[self._show or list(self.frame.columns)]
        return pd.DataFrame({name: [self._text(name, value) for value in frame[name]] for name in frame}, dtype=object)

    def _text(self, column: str, value: object) -> str:
        if value is None or value != value:
            return "–"
        if isinstance(value, str):
            return visible(value).replace("\n", " ↵ ")  # pandas would write a backslash and an n
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._formats.get(column, "{:,}" if isinstance(value, int) else self._fraction).format(value)
        return str(value)

    def markdown(self) -> str:
        """As a Markdown table, for a dataset card."""
        frame = self._displayed()
        lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def _repr_html_(self) -> str:
        return _scrolled(self._displayed().to_html(index=False, escape=True, border=0, classes="table", justify="left"))

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


def _scrolled(content: str) -> str:
    """HTML that may be wider than the page."""
    return f'<div style="overflow-x:auto" tabindex="0">{content}</div>'


class Details:
    """A table behind a line that opens it, so that a long one does not stand in a reader's way."""

    ending = "csv"

    def __init__(self, summary: str, table: Table):
        self.summary, self.table = f"{summary} (table of {len(table.frame)} rows)", table
        self.save = table.save

    def _repr_html_(self) -> str:
        return f"<details><summary>{html.escape(self.summary)}</summary>{self.table._repr_html_()}</details>"

    def __repr__(self) -> str:
        return f"{self.summary}\n{self.table!r}"


def pivot(rows: Sequence[Row], head: str, corner: str) -> list[Row]:
    """Columns as rows, for few rows of many columns: values of `head` head the new columns, `corner` the first."""
    columns = [column for column in (rows[0] if rows else ()) if column != head]
    return [{corner: column} | {str(row[head]): row[column] for row in rows} for column in columns]


def wide(rows: Iterable[Row], index: Sequence[str], head: str, cell: str, missing: object = None) -> list[Row]:
    """A row for each `index`, a column for each value of `head`, as they come, with values of `cell` or `missing`."""
    frame = pd.DataFrame(rows, dtype=object)
    cells = frame.pivot_table(cell, index, head, aggfunc="first", sort=False)[list(frame[head].unique())]
    return cells.where(cells.notna(), missing).reset_index().to_dict("records")


def distinct(rows: Iterable[Row], column: str) -> list:
    """The values of a column, each once, in the order in which they come."""
    return list(dict.fromkeys(row[column] for row in rows))


def in_brackets(items: Sequence[str]) -> str:
    """' (a; b)', or '' without items."""
    return f" ({'; '.join(items)})" if items else ""


def plural(number: int, noun: str) -> str:
    """1, seed → '1 seed'; 3, seed → '3 seeds'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Stack:
    """Several of these one below the other, as one thing to paste."""

    def __init__(self, parts: Iterable[Picture | Table | Details | Paragraph]):
        self.parts = list(parts)

    def _repr_html_(self) -> str:
        return "".join(part._repr_html_() for part in self.parts)

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.parts))


def scores(rows: Sequence[Row]) -> Stack:
    """Rows of `scoring.evaluate` for reading; those of single forms of question (`generated:can_do`) are folded."""
    shown = [{name: row[name] for name in ("arm", "split", "metric", "value", "low", "high", "n")} for row in rows]
    overall, by_form = ([row for row in shown if (":" in row["metric"]) == of_form] for of_form in (False, True))
    folded = [Details("By form of question", Table(by_form, "{:.3f}"))] if by_form else []
    return Stack([Table(overall, "{:.3f}"), *folded])


def visible(text: str) -> str:
    """Text from elsewhere as a page can show it: control characters and those that turn the direction of reading by
    their pictures or names, and cut at LONGEST. Whoever makes the page escapes it.
    """
    safe = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda match: chr(0x2400 + ord(match[0])), text)
    safe = re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda match: f"⟨U+{ord(match[0]):04X}⟩", safe)
    return safe if len(safe) <= LONGEST else f"{safe[:LONGEST]}… ({len(text):,} characters)"


class Paragraph:
    """Plain text as one HTML paragraph, escaped; `**` and backticks have no meaning in it."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"

    def __repr__(self) -> str:
        return self.text


def glue(**results: object) -> None:
    """Export values to the book's pages, which paste them by name. Nothing is displayed."""
    from myst_nb import glue as myst_glue  # here, since only notebooks that feed prose need it

    for name, value in results.items():
        myst_glue(name, value, display=False)


def show(*, paste: bool = True, **results: object) -> None:
    """Display results in order and, if `paste`, export each to the book's pages under its name."""
    from IPython.display import display  # here, as above

    if paste:
        glue(**results)
    display(*results.values())


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
    groups = {name: pd.Series(list(values)) for name, values in lengths.items()}
    medians = [f"{name}: median {group.median():.0f}, n = {len(group)}" for name, group in groups.items()]
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {'; '.join(medians)}.")


def loss_figure(losses: Sequence[tuple[int, float]], *, title: str) -> Picture:
    """Training loss by optimiser step."""
    steps, values = zip(*losses, strict=True)
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.plot(steps, values, color="#005B96", lw=2)
    axes.set(xlabel="optimiser step", ylabel="loss (nats per token)", yscale="log", title=title)
    fall = f"from {values[0]:.2f} to {values[-1]:.3f} nats per token in {steps[-1]} steps"
    return Picture(figure, f"{title}: loss falls {fall}.")
