"""The privacy-utility curve: what a defense costs and what it protects, against its strength."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

Estimate = tuple[float, float, float]  # value, lower and upper bound

_INK, _SOFT, _LINE, _BARS, _MARK = "#1b2029", "#5b6472", "#dfe3e9", "#dbe2ee", "#2b8a5f"
_LINES = (
    # name, title, colour, line, marker, and a shift to the side, so that lines on top of each other can be told apart
    ("accuracy", "test accuracy through the defense", "#1b2029", "-", "o", 0.0),
    ("calibration_error", "expected calibration error", "#7a8494", "--", "s", 0.0),
    ("inside", "inside evaluator top-1", "#d9a05b", "--", "D", -0.05),
    ("decides", "", "#2f5bd7", "-", "^", 0.05),
)


@dataclass(frozen=True)
class Curve:
    """Numbers of one attack, one for each strength.

    Attributes:
        name: What the attack is called.
        labels: The strengths.
        accuracy: Test accuracy through the defense.
        calibration_error: Expected calibration error.
        decides: Share by which the attack is judged.
        inside: Top-1 of the inside evaluator.
        failed: Share of the people for whom the attack failed; not a number where nobody said.
        queries: Queries per person.
    """

    name: str
    labels: Sequence[str]
    accuracy: Sequence[Estimate]
    calibration_error: Sequence[Estimate]
    decides: Sequence[Estimate]
    inside: Sequence[Estimate]
    failed: Sequence[float]
    queries: Sequence[float]


def draw_curves(
    curves: Sequence[Curve], *, axis_title: str, decides: str, marks: Mapping[str, float], broken_below: float
) -> bytes:
    """Draw one panel for each attack, side by side, with the same scales.

    Args:
        curves: The attacks.
        axis_title: What the strength is called.
        decides: What the share is called by which attacks are judged.
        marks: What that share is measured against, by name: thin lines, such as its ceiling and its chance.
        broken_below: Share below which an attack counts as broken: a thin line.

    Returns:
        An SVG file. The same numbers give the same bytes.
    """
    # parse_math: a dollar in a name is a dollar
    style = rc_context(
        {
            "svg.hashsalt": "mi_lightning",
            "font.size": 9.5,
            "font.family": "sans-serif",
            "text.parse_math": False,
        }
    )
    with style:
        buffer = io.BytesIO()
        _figure(curves, axis_title, decides, marks, broken_below).savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None}
        )
    return buffer.getvalue()


def _figure(
    curves: Sequence[Curve], axis_title: str, decides: str, marks: Mapping[str, float], broken_below: float
) -> Figure:
    """All panels, and below them a legend."""
    columns = min(len(curves), 3)
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(max(6.4, 5.6 * columns), 3.9 * lines + 0.5), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False)
    most = max(max(curve.queries) for curve in curves)
    for place, panel in enumerate(panels.flat):
        if place < len(curves):
            _panel(panel, curves[place], axis_title, decides, most, last=place % columns == columns - 1)
            panel.axhline(broken_below, color=_SOFT, linewidth=0.8, linestyle=":", zorder=1)
            for name, value in marks.items():
                panel.axhline(value, color=_MARK, linewidth=0.9, linestyle=(0, (6, 3)), zorder=1)
                panel.annotate(
                    name,
                    (len(curves[place].labels) - 0.5, value),
                    color=_MARK,
                    fontsize=8,
                    ha="right",
                    xytext=(-2, 2),
                    textcoords="offset points",
                    zorder=4,
                )
        else:
            panel.set_axis_off()
    _legend(figure, *panels[0, 0].get_legend_handles_labels())
    return figure


def _legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend in as many columns as the width of the figure holds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # all else of matplotlib comes with Lightning

    FigureCanvasAgg(figure)  # which knows how wide words are
    for columns in range(len(names), 0, -1):
        legend = figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
        if legend.get_window_extent().width <= 0.98 * figure.bbox.width or columns == 1:
            return
        legend.remove()


def _panel(panel: Any, curve: Curve, axis_title: str, decides: str, most: float, *, last: bool) -> None:
    """One attack: shares on the left axis, queries on the right one."""
    x = list(range(len(curve.labels)))
    second = panel.twinx()
    second.bar(x, curve.queries, width=0.55, color=_BARS, zorder=0)
    second.set_ylim(0, 2.6 * most if most else 1)  # bars stay in the lower part, behind the lines
    second.tick_params(colors=_SOFT, length=2)
    second.set_yticks([0, most / 2, most], [f"{value:,.0f}" if last else "" for value in (0, most / 2, most)])
    if last:
        second.set_ylabel("queries per person", color=_SOFT, loc="bottom")
    panel.set_zorder(second.get_zorder() + 1)
    panel.patch.set_visible(False)
    for name, title, colour, style, marker, shift in _LINES:
        value, low, high = zip(*getattr(curve, name), strict=True)
        at = [place + shift for place in x]
        panel.fill_between(at, low, high, color=colour, alpha=0.14, linewidth=0, zorder=2)
        panel.plot(
            at,
            value,
            style,
            color=colour,
            marker=marker,
            markersize=4.5,
            linewidth=1.6,
            label=title or decides,
            zorder=3,
        )
    panel.plot(x, curve.failed, "x", color="#c2452d", markersize=6, label="attack failed for", zorder=3)
    panel.bar([0], [0], color=_BARS, label="queries (right axis)")
    panel.set_title(curve.name, loc="left", fontweight="bold", color=_INK)
    panel.set_xticks(x, curve.labels)
    panel.set_xlabel(axis_title, color=_SOFT)
    panel.set_ylim(-0.03, 1.03)
    panel.set_xlim(-0.5, len(x) - 0.5)
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    panel.grid(axis="y", color=_LINE, linewidth=0.6, zorder=0)
    panel.tick_params(colors=_SOFT, length=2)
    for axis in (panel, second):
        for side in ("top", "left", "right", "bottom"):
            axis.spines[side].set_visible(side == "bottom")
            axis.spines[side].set_color(_LINE)
