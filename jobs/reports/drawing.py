"""One drawing as SVG that takes the page's colour for text and lines: light, dark and on paper alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Stands for the page's own colour; no picture draws with it otherwise.
_INK = "#010203"
BLUE, ORANGE, GREEN, GREY = "#3b82c4", "#d9772b", "#2a9d77", "#8b95a3"
#: Inches; the page scales a drawing to its own width.
WIDE, SMALL = (9.2, 3.0), (5.2, 3.2)


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = SMALL, name: str = "") -> str:
    """One drawing as an inline SVG element.

    Args:
        draw: draws it.
        size: inches.
        name: makes the ids inside of it differ from those of other pictures.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    style |= {
        "axes.axisbelow": True,
        "font.size": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.alpha": 0.15,
    }
    style |= dict.fromkeys(coloured, _INK)
    with mpl.rc_context(style):
        drawn: Figure = Figure(figsize=size, layout="constrained")
        drawn.patch.set_alpha(0)
        axes = drawn.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        text = StringIO()
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    found = text.getvalue().replace(_INK, "currentColor")
    found = found[found.index("<svg") :]
    found = re.sub(r"font: ([\d.]+)px [^\"]*?(; text-anchor: \w+)?([;\"])", r"font: \1px sans-serif\2\3", found)
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.S)
    return re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"([^>]*?) (?:width|height)="[^"]*"', r"\1\2", found, count=1)


def in_thousands(axis: Axis) -> None:
    """Write counts along an axis as 12,000."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(6, integer=True))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
