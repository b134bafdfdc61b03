"""The picture of a ranking, PNG and SVG, from what `ranking.json` holds. It needs matplotlib (the extra `plots`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inarch.studies import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR, PALE = plots.COLOURS[0], "#A9CCE3"
_SHOWN = ("probe", "neighbours", "logme", "h_score", "leep", "nce")


def draw(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Write `ranking.png` and `ranking.svg`; return sentences where that cannot be."""
    if not plots.is_available():
        return [plots.MISSING]
    plots.save(lambda: _figure(summary), folder / "ranking")
    return []


def _figure(summary: Mapping[str, Any]) -> "Figure":
    """Left, what fine-tuning is expected to reach, with its interval; middle, who is best; right, every score."""
    from matplotlib.figure import Figure

    places = summary["places"]
    figure = Figure(figsize=(10, 1.4 + 0.42 * len(places)), layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=(4, 2, 4))
    for row, place in enumerate(places):
        left.plot([place["low"], place["high"]], [row, row], color=PALE, lw=5, solid_capstyle="round")
        left.plot(place["expected"], row, "o", color=COLOUR, ms=7)
        middle.barh(row, 100 * place["best"], height=0.55, color=COLOUR)
        middle.text(100 * place["best"] + 2, row, f"{place['best']:.0%}", va="center", fontsize=9)
    left.set_yticks(range(len(places)), [place["name"] for place in places])
    left.set_ylim(len(places) - 0.5, -0.5)
    left.axvline(0, color="#888888", lw=0.8)
    left.set_xlabel("expected after fine-tuning, points\nabove the mean of these (95 %)", fontsize=9)
    middle.set_xlim(0, 115)
    middle.set_xlabel("probability of\nbeing the best, %", fontsize=9)
    _scores(right, places)
    for axes in (left, middle):
        axes.grid(axis="x", color="#E8E8E8")
        axes.set_axisbelow(True)
    return figure


def _scores(axes: "Axes", places: Any) -> None:
    """Write every score as a number, darker where it is better among these."""
    shown = [name for name in _SHOWN if any(name in place["scores"] for place in places)]
    for column, name in enumerate(shown):
        values = [place["scores"].get(name) for place in places]
        known = [value for value in values if value is not None]
        least, most = min(known), max(known)
        for row, value in enumerate(values):
            if value is not None:
                share = (value - least) / (most - least) if most > least else 0.5
                axes.barh(row, 0.94, left=column - 0.47, height=0.9, color=COLOUR, alpha=0.06 + 0.44 * share)
            text = "-" if value is None else f"{value:.1%}" if name in ("probe", "neighbours") else f"{value:.3g}"
            axes.text(column, row, text, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(shown)), [name.replace("_", "-") for name in shown], fontsize=9)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_xlabel("scores of the frozen features", fontsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
