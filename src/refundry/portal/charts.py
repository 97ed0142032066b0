"""Draws charts as SVG images, for either theme and either width of a page."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pygal  # pyright: ignore[reportMissingTypeStubs]
from pygal.etree import etree  # pyright: ignore[reportMissingTypeStubs]
from pygal.style import Style  # pyright: ignore[reportMissingTypeStubs]

from refundry.http.answer import Answer

# pygal puts a finder for its maps into the import system, in a form that Python 3.11 warns of at
# every later import. There are no maps here.
_PLUGINS: Any = pygal.PluginImportFixer
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _PLUGINS)]

# The style of the chart stands in the image, and nothing else may come into it or out of it.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a chart is to be drawn: for dark pages or light ones, for narrow pages or wide ones."""

    dark: bool = False
    narrow: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one colour. tone: a name of `_TONES`; values: one per label, never money."""

    name: str
    tone: str
    values: Sequence[float]


# Every colour has a contrast of at least 3 to the card that it stands on; light, dark.
_TONES = {
    "accent": ("#1f5fd0", "#8ab4ff"),
    "info": ("#4f83d6", "#5b8def"),
    "warn": ("#b87503", "#f3c778"),
    "ok": ("#1d8a4e", "#4fbf82"),
    "bad": ("#c4342d", "#ff8a80"),
    "quiet": ("#6f7a8d", "#a8b2c4"),
}
_LABEL = 28
_OF_SCRIPT = ("script", "desc")
_INK = ("#3d475a", "#c3cbd9")
_LINE = ("#d9dee7", "#3a4455")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Arial, sans-serif"
# About as many labels as have room below bars.
_MOST_LABELS = {False: 12, True: 5}


def stacked_bars(labels: Sequence[str], series: Sequence[Series], look: Look) -> bytes:
    """Bars beside one another, each made up of the series."""
    graph: Any = pygal.StackedBar(
        **_config(look, series),
        width=460 if look.narrow else 960,
        height=320 if look.narrow else 300,
        show_minor_x_labels=False,
        x_labels_major_every=max(1, -(-len(labels) // _MOST_LABELS[look.narrow])),
        legend_at_bottom=True,
        legend_at_bottom_columns=2 if look.narrow else len(series),
        truncate_legend=-1,
        truncate_label=-1,
        order_min=0,
    )
    graph.x_labels = list(labels)
    for each in series:
        graph.add(each.name, list(each.values))
    return _written(graph)


def lying_bars(labels: Sequence[str], series: Series, look: Look) -> bytes:
    """Bars one below the other, the first on top, with their values beside them."""
    graph: Any = pygal.HorizontalBar(
        **_config(look, [series]),
        width=460 if look.narrow else 560,
        height=70 + 34 * len(labels),
        show_legend=False,
        truncate_label=-1,
        range=(0, max(*series.values, 1)),
    )
    graph.x_labels = [_short(label) for label in labels][::-1]
    graph.add(series.name, list(series.values)[::-1])
    return _written(graph)


def _short(label: str) -> str:
    """A label that leaves room for its bar; the table beside the chart has it as a whole."""
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"


def _config(look: Look, series: Sequence[Series]) -> dict[str, Any]:
    ink, line = _INK[look.dark], _LINE[look.dark]
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=ink,
        foreground_strong=ink,
        foreground_subtle=line,
        guide_stroke_color=line,
        major_guide_stroke_color=line,
        guide_stroke_dasharray="",
        major_guide_stroke_dasharray="",
        font_family=_FONT,
        label_font_size=14,
        major_label_font_size=14,
        legend_font_size=14,
        opacity="1",
        opacity_hover="1",
        transition="0s",
        colors=tuple(_TONES[each.tone][look.dark] for each in series),
    )
    return {
        "style": style,
        "js": [],
        "margin": 8,
        "show_y_guides": True,
        "y_labels_major_every": 1,
        "max_scale": 6,
        "integer_only": True,
        "value_formatter": "{:g}".format,
    }


def _written(graph: Any) -> bytes:
    """The image. What pygal adds for its script in pages goes, as no script runs in an image."""
    root = graph.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            # The tag of a comment is no text.
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in _OF_SCRIPT:
                parent.remove(child)
    xml: Any = etree  # of the standard library, or lxml where that is installed
    return xml.tostring(root, encoding="utf-8")


def image(body: bytes) -> Answer:
    """A chart as an answer, under a policy of its own."""
    return Answer(200, body, dict(HEADERS), "image/svg+xml")
