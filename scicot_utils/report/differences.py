"""Differences between arms as a figure: one row a variant, one panel a pair of arms. The tests are made elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt

from scicot_utils.report.book import COMPARED, Picture, arm_name
from scicot_utils.tables import Row

MEASURES = (("generated", -0.17, "o", "#005B96"), ("ranked", 0.17, "s", "#D55E00"))  # its place in a row, and its mark


def differences_figure(rows: Sequence[Row]) -> Picture:
    """A forest plot of rows of `compare_in_variants` or `compare`: points and intervals, in percentage points.

    Thick: the interval over questions; thin, where there is one: over groups of questions with the same right answer.
    An open mark: not told apart from zero, the interval includes it. Raises ValueError where there are no rows.
    """
    if not rows:
        raise ValueError("differences_figure: found no rows, allowed: at least one comparison")
    variants = list(dict.fromkeys(row.get("variant", "") for row in rows))
    pairs = [pair for pair in COMPARED if any((row["first"], row["second"]) == pair for row in rows)]
    size = (1.8 + 2.3 * len(pairs), 1.7 + 0.42 * len(variants))
    figure, panels = plt.subplots(1, len(pairs), figsize=size, sharey=True, sharex=True, squeeze=False)
    told = []
    for axes, (first, second) in zip(panels[0], pairs, strict=True):
        axes.axvline(0, color="#555555", lw=1.2)
        for measure, aside, mark, colour in MEASURES:
            for row in rows:
                if (row["first"], row["second"], row["measure"]) == (first, second, measure):
                    place = variants.index(row.get("variant", "")) + aside
                    if "low shared" in row:
                        axes.hlines(place, row["low shared"], row["high shared"], color=colour, lw=1)
                    axes.hlines(place, row["low"], row["high"], color=colour, lw=3)
                    fill = "white" if row["low"] <= 0 <= row["high"] else colour
                    axes.plot(row["difference"], place, mark, color=colour, mfc=fill, ms=6, label=measure)
        title = f"{arm_name(first)} minus {arm_name(second)}"
        axes.set_title(textwrap.fill(title, 24), fontsize=9)
        axes.set(xlabel="percentage points", ylim=(len(variants) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)
        told.append(_told(first, second, rows))
    panels[0, 0].set_yticks(range(len(variants)), variants)
    legend = {
        text: handle for axes in panels[0] for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return Picture(figure, f"Differences in percentage points, by variant: {'; '.join(told)}.")


def _told(first: str, second: str, rows: Sequence[Row]) -> str:
    """From least to greatest, and in how many variants the interval is above zero, as written by the student."""
    found = [row for row in rows if (row["first"], row["second"], row["measure"]) == (first, second, "generated")]
    name = f"{arm_name(first)} minus {arm_name(second)}"
    if not found:
        return f"{name}, ranked only"
    least, most = (pick(found, key=lambda row: row["difference"]) for pick in (min, max))
    above = sum(row["low"] > 0 for row in found)
    ends = [f"{row['difference']:+.1f}" + (f" ({row['variant']})" if "variant" in row else "") for row in (least, most)]
    span = ends[0] if len(found) == 1 else f"from {ends[0]} to {ends[1]}"
    return f"{name}, generated, {span}, its interval above zero in {above} of {len(found)}"
