"""A chart as inline SVG: drawn by matplotlib in two sizes, coloured by the page's CSS variables, always the same bytes.

Knows SVG and sizes; does not know what is drawn.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

INK: Final = "#010101"
GRID: Final = "#020202"
MUTED: Final = "#030303"
GOOD: Final = "#040404"
CARD: Final = "#050505"
FAINT: Final = "#060606"
SERIES: Final = ("#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05")

_VARIABLES: Final = {
    INK: "currentColor",
    GRID: "var(--grid)",
    MUTED: "var(--muted)",
    GOOD: "var(--good)",
    CARD: "var(--card)",
    FAINT: "var(--faint)",
    **{marker: f"var(--s{k})" for k, marker in enumerate(SERIES, 1)},
}
"""Colours are drawn as markers and replaced, so that one drawing serves the light and the dark page."""

LIGHT: Final = {
    "--s1": "#0072B2", "--s2": "#C24E00", "--s3": "#00795A", "--s4": "#A8487F", "--s5": "#6B6B6B",
    "--grid": "#E9E8E4", "--muted": "#686B73", "--good": "#E4F3EB", "--card": "#FFFFFF",
    "--faint": "#C6C5C0",
}  # fmt: skip
DARK: Final = {
    "--s1": "#56B4E9", "--s2": "#FF9F5A", "--s3": "#2FC99A", "--s4": "#E6A3CC", "--s5": "#B5B5B5",
    "--grid": "#30333C", "--muted": "#A0A4AF", "--good": "#193129", "--card": "#1D2027",
    "--faint": "#555A66",
}  # fmt: skip

WIDTHS: Final = {"wide": 5.8, "phone": 3.5}
"""Inches; at 72 points to the inch a chart is shown about 1.3 times as large, so that 9 points read as 12 pixels."""

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass
class Sheet:
    """What a painter draws on: a canvas, its size's name, and the hover texts it collects."""

    canvas: Canvas
    size: str
    tips: dict[str, str] = field(default_factory=dict)

    @property
    def wide(self) -> bool:
        """Drawn for a column of a desktop page, not for a phone."""
        return self.size == "wide"

    def tip(self, artist: Any, text: str) -> None:
        """Show `text` when the pointer is over `artist`."""
        name = f"tip{len(self.tips)}"
        artist.set_gid(name)
        self.tips[name] = text

    def tip_at(self, axes: Axes, x: float, y: float, text: str) -> None:
        """Show `text` when the pointer is near a point: an unseen disc larger than its marker."""
        (disc,) = axes.plot([x], [y], marker="o", markersize=15, color=INK, alpha=0.0, zorder=9)
        self.tip(disc, text)


@dataclass(frozen=True)
class Figure:
    """A finished chart. A notebook shows it by itself; a page places `html()` under its own title."""

    key: str
    title: str
    """A finding about what is drawn."""
    label: str
    """What the chart says, for those who do not see it."""
    note: str
    """How to read it: what is bold, grey, dashed."""
    svgs: Mapping[str, str]
    """By the names of WIDTHS."""
    manner: str = ""
    """The end of the title where it says how what is drawn was measured: "end of speech: commit by the client"."""

    @property
    def finding(self) -> str:
        """The title without the manner."""
        return self.title.removesuffix(f" · {self.manner}")

    def html(self) -> str:
        """Both sizes; the page's style shows the one that fits."""
        return "".join(f'<div class="{size}">{svg}</div>' for size, svg in self.svgs.items())

    def _repr_html_(self) -> str:
        """For a notebook: the wide drawing with its title, in the colours of a light page."""
        variables = ";".join(f"{name}:{value}" for name, value in LIGHT.items())
        box = f"max-width:640px;background:#fff;color:#1b1d22;font-family:system-ui,sans-serif;{variables}"
        note = f'<p style="font-size:12px;color:var(--muted)">{html.escape(self.note)}</p>' if self.note else ""
        return f'<div style="{box}"><b>{html.escape(self.title)}</b>{self.svgs["wide"]}{note}</div>'


def draw(
    key: str,
    paint: Callable[[Sheet], None],
    *,
    title: str,
    label: str,
    note: str = "",
    manner: str = "",
    heights: Mapping[str, float] | None = None,
) -> Figure:
    """Paint a chart in every size. `key` prefixes its ids; `heights`: inches by size; `manner` ends the title."""
    svgs = {}
    for size, width in WIDTHS.items():
        height = (heights or {}).get(size, 3.3 if size == "wide" else 2.9)
        with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"{key}-{size}"}):
            sheet = Sheet(Canvas(figsize=(width, height)), size)
            paint(sheet)
            stream = io.StringIO()
            sheet.canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        svgs[size] = _inline(stream.getvalue(), prefix=f"{key}-{size}-", label=label, tips=sheet.tips)
    return Figure(key, title, label, note, svgs, manner)


def nothing(key: str, *, title: str, reason: str, manner: str = "") -> Figure:
    """A figure that could not be drawn: its reason in place of a chart."""
    text = f'<p class="missing">{html.escape(reason)}</p>'
    return Figure(key, title, reason, "", {"wide": text, "phone": text}, manner)


def _inline(svg: str, *, prefix: str, label: str, tips: Mapping[str, str]) -> str:
    """A file's SVG made fit for a page: no header, own ids, page colours, hover texts, a label."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', body))
    kept = {name for pair in used for name in pair if name} | set(tips)
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in kept else "", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", body)
    for marker, variable in _VARIABLES.items():
        body = body.replace(marker, variable)
    body = re.sub(r"font-family: [^;\"]*; ?", "", body)
    body = re.sub(
        r' transform="rotate\(-0 [^)]*\)"|<defs>\s*<style.*?</style>\s*</defs>|<g/>', "", body, flags=re.DOTALL
    )
    for name, text in tips.items():
        opening = f'<g id="{prefix}{name}">'
        body = body.replace(opening, f'<g class="tip"><title>{html.escape(text)}</title>')
    joins = "stroke-linejoin:round;stroke-linecap:butt"  # matplotlib says it in a style that would reach the page
    head = f'<svg role="img" aria-label="{html.escape(label)}" style="{joins}" '
    body = re.sub(r'<svg ([^>]*?)(width|height)="[^"]*" ([^>]*?)(width|height)="[^"]*"', r"<svg \1\3", body, count=1)
    return re.sub(r"\n\s*", "\n", body.replace("<svg ", head, 1)).strip()


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near `wanted`, in the same order of size, at least `gap` apart, inside of [low, high] if they fit."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    placed: list[float] = []
    for rank, k in enumerate(order):
        floor = placed[-1] + gap if rank else low
        placed.append(max(wanted[k], floor))
    ceiling = high
    for rank in reversed(range(len(placed))):
        placed[rank] = min(placed[rank], ceiling)
        ceiling = placed[rank] - gap
    found = [0.0] * len(wanted)
    for rank, k in enumerate(order):
        found[k] = placed[rank]
    return found


def end_labels(axes: Axes, labels: Iterable[tuple[float, str, str]]) -> None:
    """Names (y in data units, text, colour) to the right of the axes, at their line's end, without overlap."""
    items = list(labels)
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    at = [float(axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1]) for y, *_ in items]
    gap = 10.5 / height
    for place, (_, text, colour) in zip(spread(at, gap, gap / 2, 1 - gap / 4), items, strict=True):
        axes.annotate(
            text,
            (1, place),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.5,
            fontweight="bold",
        )


def write(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    *,
    of: tuple[str, str] = ("axes fraction",) * 2,
    by: tuple[float, float],
    **style: Any,
) -> None:
    """Text `by` so many points away from `at`, which is in the units `of` ("data" or "axes fraction")."""
    axes.annotate(text, at, xycoords=of, xytext=by, textcoords="offset points", **({"fontsize": 8} | style))
