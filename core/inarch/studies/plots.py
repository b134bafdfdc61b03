"""Pictures of a comparison, PNG and SVG, from what `comparison.json` holds; and how all pictures are written.

They need matplotlib (the extra `plots`). No state of pyplot, no dates, no random names: equal studies, equal files.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = "no pictures: they need matplotlib. Try: pip install 'inarch[plots]'"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#56B4E9", "#5D3A9B", "#444444")
"""Okabe and Ito's (2008), which most colour-blind people tell apart, with a darker yellow; then two more."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FAINT = "#222222", "#BBBBBB"

Data = Mapping[str, Any]


def is_available() -> bool:
    """Say whether matplotlib is installed; it is not imported."""
    return find_spec("matplotlib") is not None


def draw(summary: Data, folder: Path) -> list[Path]:
    """Write `comparison.png` and `.svg`, and with several fractions `labels.png` and `.svg`; return their paths."""
    written = save(lambda: _comparison(summary), folder / "comparison")
    if len(summary["results"]) > 1:
        written += save(lambda: _labels(summary), folder / "labels")
    return written


def save(make: "Callable[[], Figure]", stem: Path) -> list[Path]:
    """Write what `make` draws in the style of all pictures, as STEM.png and STEM.svg; return their paths."""
    from matplotlib import rc_context

    style: Any = {
        "svg.hashsalt": "inarch", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
        "axes.edgecolor": FAINT, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "savefig.facecolor": "white",
    }  # fmt: skip
    paths = []
    with rc_context(style):
        figure = make()
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = stem.with_suffix(f".{kind}")
            figure.savefig(path, format=kind, dpi=110, metadata=metadata)
            paths.append(path)
    return paths


def _comparison(summary: Data) -> "Figure":
    """Left, what each strategy reached: dots are seeds, the mark is their mean; right, how far behind the best."""
    from matplotlib.figure import Figure

    last = summary["results"][-1]
    found = last["strategies"]
    figure = Figure(figsize=(9, 1.7 + 0.62 * len(found)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    scale = 100 if summary["points"] else 1
    colours = _colours(summary)
    for place, one in enumerate(found):
        colour, mark = colours[one["label"]]
        values = [scale * value for value in one["values"].values()]
        if one["low"] is not None:
            left.plot([scale * one["low"], scale * one["high"]], [place, place], color=colour, lw=2.5, alpha=0.75)
        left.plot(values, [place + 0.24] * len(values), "o", color=colour, ms=4, alpha=0.6, mew=0)
        left.plot(scale * one["mean"], place, mark, color=colour, ms=8, mec="white", mew=0.8)
    _behind(right, last, scale, colours, summary["points"])
    left.set_yticks(range(len(found)), [_row(one) for one in found])
    left.set_ylim(len(found) - 0.4, -0.6)
    unit = ", %" if summary["points"] else ""
    left.set_xlabel(f"{summary['split']} {summary['metric']}{unit}")
    right.set_xlabel(f"behind {found[0]['label']}{', points' if summary['points'] else ''}")
    for axes in (left, right):
        axes.grid(axis="x", color="#E8E8E8")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    figure.suptitle(_title(summary, last), x=0.01, ha="left", fontsize=11, fontweight="bold")
    count = len(summary["seeds"])
    tested = f"{summary['examples']:,} test examples" + (
        f" of {summary['groups']:,} groups" if summary["groups"] else ""
    )
    told = f"{count} seed{'s' * (count > 1)} (dots), {tested}; lines are 95 % intervals"
    figure.supxlabel(told, fontsize=8.5, x=0.01, ha="left")
    return figure


def _row(one: Data) -> str:
    seconds = f", {one['seconds']:.0f} s" if one["seconds"] is not None else ""
    return f"{one['label']}\n{one['weights']} weights{seconds}"


def _behind(axes: "Axes", last: Data, scale: float, colours: Data, points: bool) -> None:
    """Draw the difference of each strategy to the best one, with its interval; one far off is an arrow at the edge."""
    places = {one["label"]: place for place, one in enumerate(last["strategies"])}
    best = last["strategies"][0]["label"]
    axes.axvline(0, color=FAINT, lw=1, zorder=0)
    axes.plot(0, 0, colours[best][1], color=colours[best][0], ms=8, mec="white", mew=0.8)
    pairs = [pair for pair in last["pairs"] if pair["first"] == best]
    edge = _edge([scale * (pair["difference"] if pair["high"] is None else pair["high"]) for pair in pairs])
    for pair in pairs:
        colour, mark = colours[pair["second"]]
        place, x = places[pair["second"]], scale * pair["difference"]
        told = f"{x:.1f}" if points else f"{x:.3g}"
        if edge is not None and x > edge:
            near = axes.annotate(told, (edge, place), (-16, 0), textcoords="offset points", ha="right", va="center")
            near.set_color(colour)
            axes.plot(edge, place, ">", color=colour, ms=7, clip_on=False)
            continue
        if pair["low"] is not None:
            axes.plot([scale * pair["low"], scale * pair["high"]], [place, place], color=colour, lw=2.5, alpha=0.75)
        axes.plot(x, place, mark, color=colour, ms=8, mec="white", mew=0.8)
        words = told if pair["told"] else f"{told}, not told apart"
        axes.annotate(words, (x, place), (0, 8), textcoords="offset points", fontsize=8.5, ha="center", color="#555555")
    if edge is not None:
        axes.set_xlim(right=edge)


def _edge(ends: Sequence[float]) -> float | None:
    """Return where to cut the axis, if one difference would press the others together."""
    ordered = sorted(abs(end) for end in ends)
    return 1.5 * ordered[-2] if len(ordered) > 1 and ordered[-1] > 4 * ordered[-2] > 0 else None


def _labels(summary: Data) -> "Figure":
    """Draw the metric against the number of labels: marks with intervals, and the fitted curves with their bands."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    scale = 100 if summary["points"] else 1
    colours = _colours(summary)
    sizes = [result["labels"] for result in summary["results"]]
    labels = [one["label"] for one in summary["results"][-1]["strategies"]]
    for number, label in enumerate(labels):
        colour, mark = colours[label]
        _curve(axes, summary["curves"].get(label), scale, colour)
        shift = 1.02 ** (number - (len(labels) - 1) / 2)  # marks of equal size would hide each other
        for result in summary["results"]:
            for one in result["strategies"]:
                if one["label"] == label:
                    _point(axes, result["labels"] * shift, one, scale, colour, mark)
        axes.plot([], [], mark, color=colour, ls="-", ms=7, mec="white", mew=0.8, label=label)
    if summary["target"] is not None:
        axes.axhline(scale * summary["target"], color="#666666", lw=1, ls=(0, (4, 3)))
        place = (sizes[0], scale * summary["target"])
        axes.annotate("target", place, (0, 4), textcoords="offset points", fontsize=8.5, color="#555555")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(color="#E8E8E8")
    axes.set_axisbelow(True)
    axes.set_xlabel("labelled examples in train")
    axes.set_ylabel(f"{summary['split']} {summary['metric']}{', %' if summary['points'] else ''}")
    axes.legend(frameon=False, loc="best")
    axes.set_title(f"{summary['recipe']}: what labels are worth", loc="left", fontsize=11, fontweight="bold")
    told = f"means over {len(summary['seeds'])} seeds, each with its own draw of labels; 95 % intervals"
    figure.supxlabel(f"{told}; curves a n$^{{-b}}$ + c", fontsize=8.5, x=0.01, ha="left")
    return figure


def _curve(axes: "Axes", curve: Data | None, scale: float, colour: str) -> None:
    if curve and curve.get("sizes"):
        sizes, low, high = curve["sizes"], *([scale * v for v in curve[key]] for key in ("low", "high"))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.13, lw=0)
        axes.plot(sizes, [scale * value for value in curve["values"]], color=colour, lw=1.5)


def _point(axes: "Axes", x: float, one: Data, scale: float, colour: str, mark: str) -> None:
    if one["low"] is not None:
        axes.plot([x, x], [scale * one["low"], scale * one["high"]], color=colour, lw=1.8, alpha=0.75)
    axes.plot(x, scale * one["mean"], mark, color=colour, ms=7, mec="white", mew=0.8)


def _colours(summary: Data) -> dict[str, tuple[str, str]]:
    """Return the colour and the mark of each strategy, in the order in which they were asked for."""
    labels: Sequence[str] = [one["label"] for one in summary["strategies"]]
    return {label: (COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]) for i, label in enumerate(labels)}


def _title(summary: Data, last: Data) -> str:
    return f"{summary['recipe']}: strategies on {last['labels']:,} labelled examples"
