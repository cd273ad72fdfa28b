"""results.json -> one self-contained HTML page: no script, no request to anywhere, light and dark."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shortvox.environment import in_words
from shortvox.files import write_text
from shortvox.report import curves, dots, figures, findings, scoring, tables
from shortvox.report.svg import GLYPHS, SERIES, Chart
from shortvox.report.views import (
    MISSING,
    View,
    finite,
    length_label,
    number,
    over,
    over_all,
    p_value,
    percent,
    views_of,
)

HERE = Path(__file__).parent


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report of `results` (the content of results.json, one protocol or several) to `path`.

    The same results give the same bytes. Raises ShortvoxError when `path` cannot be written.
    """
    write_text(path, render(results))


def render(results: Mapping[str, Any]) -> str:
    """The page as text; see `write_report`."""
    views = views_of(results)
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        length_name=length_label,
        hours=hours,
        plain=plain,
        in_words=in_words,
        svg=Markup,
    )
    environment.globals.update(glyph=glyph, series=lambda position: f"s{position % SERIES + 1}")
    page = environment.get_template("report.html").render(
        css=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        results=results,
        views=views,
        title=title_of(results),
        synthetic=bool(results.get("synthetic")),
        lead=findings.lead(views),
        glance=findings.at_a_glance(views) if views else [],
        legend=legend(views),
        blocks=blocks(views),
        metrics=groups(views, tables.OTHER_METRICS),
        questions=groups(views, tables.OTHER_QUESTIONS),
        notes=notes_of(results, views),
        charts=charts(views),
        costs=costs(views[0]) if views else [],
        shared=lambda key: shared_value(results, views, key),
        over=over_all(views),
        crops=any(view.crop_range(name, length) for view in views for name in view.systems for length in view.lengths),
        least=lambda resolution: p_value(resolution, resolution).removeprefix("< "),
        ways=scoring.ways(views),
        within_crops=scoring.within_crops(views),
        settings=as_yaml(results.get("settings")),
        indicative=any(view.indicative for view in views),
    )
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def title_of(results: Mapping[str, Any]) -> str:
    title = str(results.get("title") or "Speaker verification by length of speech")
    if results.get("synthetic") and "SYNTHETIC" not in title:
        return f"SYNTHETIC voices: {title}"
    return title


def shared_value(results: Mapping[str, Any], views: tuple[View, ...], key: str) -> Any:
    """A key that may stand at the top or inside a protocol: the first one found."""
    return next((found for found in (results.get(key), *(view.data.get(key) for view in views)) if found), None)


def legend(views: tuple[View, ...]) -> list[tuple[int, str]]:
    return list(enumerate(views[0].systems)) if views else []


def glyph(position: int) -> str:
    return GLYPHS[position % SERIES]


def blocks(views: tuple[View, ...]) -> list[dict[str, Any]]:
    """The tables of each protocol."""
    return [
        {
            "view": view,
            "eer": tables.eer_grid(view),
            "over": over(view.trainings),
            "compared": [
                {
                    "what": what,
                    "unit": unit,
                    "differences": tables.difference_grid(view, cost=cost),
                    "rows": tables.comparison_rows(view, cost=cost),
                }
                for what, unit, cost, known in (
                    ("EER", ", percentage points", False, view.comparisons),
                    ("minDCF (p = 0.05)", "", True, view.cost_comparisons),
                )
                if known
            ],
            "seeds": seed_rows(view),
            "parts": [(part, tables.eer_grid(part)) for part in view.parts],
        }
        for view in views
    ]


def groups(
    views: tuple[View, ...],
    builders: tuple[tuple[str, str, Callable[[View], tables.Grid]], ...],
) -> list[dict[str, Any]]:
    """One kind of figure after another, each for all protocols; what nobody measured is left out."""
    made = [
        {
            "title": title,
            "words": words,
            "grids": [(view.label, found) for view in views if not (found := build(view)).empty],
        }
        for title, words, build in builders
    ]
    return [group for group in made if group["grids"]]


def notes_of(results: Mapping[str, Any], views: tuple[View, ...]) -> list[dict[str, Any]]:
    """The research notes' tables: title, words and figures of each."""
    first = shared_value(results, views, "notes_table")
    return [
        {
            "title": table.get("title") or "EER % in the research notes",
            "about": table.get("about") or "",
            "grid": tables.notes_grid(table),
        }
        for table in ([first, *(first.get("more") or ())] if first else ())
        if table.get("rows")
    ]


def seed_rows(view: View) -> list[tuple[str, str, list[str]]]:
    """(system, seed, EER per length): every training seed, nothing averaged."""
    rows = []
    for name in view.systems:
        found: dict[str, dict[str, str]] = {}
        for length in view.lengths:
            for entry in view.at(name, length).get("seeds") or ():
                found.setdefault(str(entry.get("seed")), {})[length] = percent(entry.get("eer"))
        rows += [
            (name, seed, [figures_of.get(length, MISSING) for length in view.lengths])
            for seed, figures_of in found.items()
        ]
    return rows


def charts(views: tuple[View, ...]) -> dict[str, list[Any]]:
    """Every chart by its place in the page; names (and so ids) are unique across protocols."""

    def each(draw: Callable[[View, str], Chart | None], place: str) -> list[Chart]:
        drawn = [draw(view, f"{place}{position}") for position, view in enumerate(views)]
        return [chart for chart in drawn if chart is not None]

    def det_group(view: View, position: int) -> list[Chart]:
        drawn = [curves.det(view, length, f"det{position}-{place}") for place, length in enumerate(det_lengths(view))]
        return [chart for chart in drawn if chart is not None]

    first = views[:1]
    training = [curves.training_curve(view, "loss", "loss", "loss", "Training loss") for view in first]
    training += [
        curves.training_curve(
            view, "validation", "validation", "EER, %", "EER on validation speakers during training", 100.0
        )
        for view in first
    ]
    return {
        "eer": each(figures.eer_by_length, "eer"),
        "forest": each(dots.forest, "forest"),
        "spread": each(figures.spread_by_length, "spread"),
        "seeds": each(dots.seed_dots, "seeds"),
        "drift": [chart for view in first if (chart := dots.drift_dots(view, "drift"))],
        "panels": [
            (view.label, found)
            for position, view in enumerate(views)
            if (found := figures.panels(view, f"panel{position}"))
        ],
        "det": [found for position, view in enumerate(views) if (found := det_group(view, position))],
        "training": [chart for chart in training if chart is not None],
    }


def det_lengths(view: View) -> list[str]:
    """Three lengths that tell the story: the longest, the middle and the shortest."""
    lengths = view.lengths
    return list(dict.fromkeys((lengths[0], lengths[len(lengths) // 2], lengths[-1]))) if lengths else []


def costs(view: View) -> list[dict[str, Any]]:
    """What each system's training took."""
    return [
        {"position": position, "name": name, "system": view.system(name)} for position, name in enumerate(view.systems)
    ]


def hours(seconds: Any) -> str:
    """Seconds in the unit that reads best: 45 s, 12.3 min, 4.2 h."""
    figure = finite(seconds)
    if figure is None:
        return MISSING
    for limit, scale, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min")):
        if figure < limit:
            return f"{figure / scale:.{0 if unit == 's' else 1}f} {unit}"
    return f"{figure / 3600:,.1f} h"


def plain(value: Any) -> str:
    """Any JSON value in a line: lists joined, thousands separated, nothing as a dash."""
    if value is None or value == "" or value == []:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    return str(value)


def as_yaml(settings: Any) -> str:
    if not settings:
        return ""
    simple = json.loads(json.dumps(settings, default=str))
    return yaml.safe_dump(simple, sort_keys=False, allow_unicode=True, default_flow_style=False)
