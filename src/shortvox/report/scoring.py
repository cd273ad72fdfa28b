"""How embeddings became scores, in words: one sentence for each way that the systems of a report were scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shortvox.report.views import View, length_label


def ways(views: Sequence[View]) -> list[tuple[str, list[str]]]:
    """(what was done, the systems scored so), in the order of the systems."""
    found: dict[str, list[str]] = {}
    for name in views[0].systems if views else ():
        text = str(_scoring(views[0], name).get("text") or "")
        if text:
            found.setdefault(text, []).append(name)
    return list(found.items())


def within_crops(views: Sequence[View]) -> str:
    """What a score may have heard beyond its crop, and what became of files shorter than it."""
    settings = {name: _scoring(view, name).get("settings") or {} for view in views for name in view.systems}
    outside = sorted(name for name, each in settings.items() if each.get("context") == "file")
    repeated = sorted(name for name, each in settings.items() if each.get("short_files") == "repeat")
    heard = "Nothing from outside a crop reaches the score: features and their normalisation see these seconds only"
    if outside:
        heard = f"The front end heard whole files before the cut for {', '.join(outside)}, elsewhere only the crop"
    short = "A file shorter than the crop is used whole, never repeated"
    if repeated:
        short = f"A file shorter than the crop is repeated up to it for {', '.join(repeated)}, elsewhere used whole"
    return f"{heard}. {short}."


def voiceless_points(views: Sequence[View]) -> list[str]:
    """Where the VAD found no speech in a crop, which was then scored on all its frames."""
    points = []
    for view in views:
        for name in view.systems:
            counts: Mapping[str, Any] = view.system(name).get("voiceless") or {}
            some = [
                f"{count['voiceless']} of {count['crops']} at {length_label(length)}"
                for length, count in counts.items()
                if count.get("voiceless")
            ]
            if some:
                points.append(
                    f"{view.label}: the VAD found no speech in some crops of {name} ({'; '.join(some)}), "
                    "which were scored on all their frames."
                )
    return points


def _scoring(view: View, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = view.system(name).get("scoring") or {}
    return found
