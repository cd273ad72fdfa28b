"""Reading results.json: both of its shapes become a list of views, one per test protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shortvox.evaluation.bootstrap import SIGNIFICANT, over_what, resolution
from shortvox.evaluation.durations import COMPARED_PRIOR

MISSING = "–"
SHORT_LIMIT = 0.2  # a column with a larger share of files shorter than its length is marked

PROTOCOL_LABELS = {"full-short": "Full × short", "short-short": "Short × short"}
PROTOCOL_WORDS = {
    "full-short": "The enrolment side of every trial is the whole file; only the test side is cut to the "
    "given length. The crop is the centre of the file.",
    "short-short": "Both sides of every trial are cut to the given length, at seeded random places.",
}


def finite(value: Any) -> float | None:
    """`value` as a float, or None when it is absent, not a number, or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def pair(value: Any) -> tuple[float, float] | None:
    """An interval [low, high], or None when either end is missing."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def number(value: Any, digits: int = 2, scale: float = 1.0, signed: bool = False) -> str:
    """A figure for print: fixed digits, a true minus sign, "–" when there is none."""
    figure = finite(value)
    if figure is None:
        return MISSING
    text = f"{figure * scale:+.{digits}f}" if signed else f"{figure * scale:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def percent(value: Any, digits: int = 2) -> str:
    """A fraction as percent without the sign: 0.0487 -> "4.87"."""
    return number(value, digits, 100.0)


def p_value(value: Any, least: float | None = None) -> str:
    """A p for print. At or below the `least` that the draws can give nobody knows how small it is."""
    figure = finite(value)
    if figure is None:
        return MISSING
    if least is not None and figure <= least * (1 + 1e-9) < 1:
        digits = 1 - math.floor(math.log10(least))
        return f"< {math.ceil(least * 10**digits - 1e-6) / 10**digits:.{digits}f}".rstrip("0")
    return "< 0.001" if figure < 0.001 else f"{figure:.3f}"


def over(trainings: int | None) -> str:
    """What intervals and verdicts speak for."""
    return f"over {over_what(trainings)}" if trainings else "over speakers"


def over_all(views: Iterable[View]) -> str:
    """The same of several tables: the fewest trainings of any."""
    return over(min((view.trainings for view in views if view.trainings), default=None))


def length_label(length: str) -> str:
    """ "full" stays, "1.5" becomes "1.5 s" with a space that does not break."""
    return length if finite_length(length) is None else f"{length}\u00a0s"


def finite_length(length: str) -> float | None:
    try:
        return finite(float(length))
    except ValueError:
        return None


@dataclass(frozen=True)
class View:
    """One protocol's results, with the keys that all protocols share merged in."""

    key: str
    data: Mapping[str, Any]
    part: str = ""  # "session day0" where only the trials with that value on the test side are in

    @property
    def label(self) -> str:
        protocol = PROTOCOL_LABELS.get(self.key, self.key or "Results")
        return f"{protocol}, {self.part}" if self.part else protocol

    @property
    def parts(self) -> tuple[View, ...]:
        """The figures of `evaluate --by COLUMN`, one view for each value that has both kinds of trials."""
        return tuple(
            View(self.key, {**self.data, **found, "by": None}, f"{column} {value}")
            for column, values in (self.data.get("by") or {}).items()
            for value, found in values.items()
            if found.get("systems")
        )

    @property
    def words(self) -> str:
        return PROTOCOL_WORDS.get(self.key, "")

    @cached_property
    def systems(self) -> tuple[str, ...]:
        return tuple(self.data.get("systems") or {})

    @cached_property
    def lengths(self) -> tuple[str, ...]:
        """All lengths of any system, longest first; "full" (and anything that is no number) leads."""
        found = {length: None for name in self.systems for length in self.system(name).get("lengths") or {}}
        return tuple(sorted(found, key=lambda length: -(finite_length(length) or math.inf)))

    @property
    def shortest(self) -> str | None:
        return self.lengths[-1] if self.lengths else None

    def system(self, name: str) -> Mapping[str, Any]:
        return self.data["systems"].get(name) or {}

    def at(self, name: str, length: str) -> Mapping[str, Any]:
        """What was measured for a system at a length; empty when nothing was."""
        return (self.system(name).get("lengths") or {}).get(length) or {}

    def eer(self, name: str, length: str) -> float | None:
        return finite(self.at(name, length).get("eer"))

    def interval(self, name: str, length: str) -> tuple[float, float] | None:
        return pair((self.at(name, length).get("intervals") or {}).get("eer"))

    def short_fraction(self, length: str) -> float:
        return max((finite(self.at(name, length).get("short_fraction")) or 0.0 for name in self.systems), default=0.0)

    def crop_range(self, name: str, length: str) -> tuple[float, float] | None:
        """Lowest and highest EER over the random places of crops, each a mean over training seeds."""
        by_training = [entry.get("crop_seeds") or [] for entry in self.at(name, length).get("seeds") or ()]
        if not by_training or min(map(len, by_training)) < 2:
            return None
        means = [sum(values) / len(values) for values in zip(*by_training, strict=False)]
        return pair([min(means), max(means)])

    @cached_property
    def trainings(self) -> int | None:
        """The fewest training seeds of any system; None where no seed is recorded."""
        counts = {len(self.at(name, length).get("seeds") or ()) for name in self.systems for length in self.lengths}
        return min(counts - {0}, default=None)

    @property
    def comparisons(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.data.get("comparisons") or ())

    @cached_property
    def cost_comparisons(self) -> tuple[Mapping[str, Any], ...]:
        """The comparisons of minDCF, each as if it were one of EER."""
        return tuple(
            {**found, **cost}
            for found in self.comparisons
            if (cost := (found.get("min_dcf") or {}).get(COMPARED_PRIOR)) is not None
        )

    def comparison(self, a: str, b: str, length: str, *, cost: bool = False) -> Mapping[str, Any] | None:
        """The comparison of `a` and `b` in EER, or in minDCF; turned round when it was recorded as `b` and `a`."""
        for found in self.cost_comparisons if cost else self.comparisons:
            if found.get("length") != length or {found.get("a"), found.get("b")} != {a, b}:
                continue
            if found.get("a") == a:
                return found
            difference, interval = finite(found.get("difference")), pair(found.get("interval"))
            return {
                **found,
                "a": a,
                "b": b,
                "difference": None if difference is None else -difference,
                "interval": None if interval is None else [-interval[1], -interval[0]],
            }
        return None

    @property
    def draws(self) -> int | None:
        """Bootstrap draws; older results have them among a study's settings only."""
        settings = self.data.get("settings") or {}
        found = (self.data.get("bootstrap") or settings.get("test") or settings).get("draws")
        count = finite(found)
        return None if count is None else int(count)

    @property
    def resolution(self) -> float | None:
        """The smallest adjusted p that the draws can give; None where these are not recorded."""
        return None if self.draws is None else resolution(len(self.comparisons), self.draws)

    def holm_p(self, compared: Mapping[str, Any]) -> str:
        """The adjusted p of a comparison, for print."""
        return p_value(compared.get("p_holm"), finite(compared.get("resolution")) or self.resolution)

    @property
    def undecidable(self) -> bool:
        """True when even the smallest adjusted p that the draws can give is not significant."""
        return self.resolution is not None and self.resolution > SIGNIFICANT

    @property
    def speakers(self) -> int | None:
        count = finite((self.data.get("trials") or {}).get("speakers"))
        return None if count is None else int(count)

    @property
    def indicative(self) -> bool:
        """True when there are too few speakers (fewer than 20) for any claim of significance."""
        marked = any(self.at(name, length).get("indicative") for name in self.systems for length in self.lengths)
        return bool(marked or (self.speakers is not None and self.speakers < 20))


def views_of(results: Mapping[str, Any]) -> tuple[View, ...]:
    """One view per protocol, in the order of the file."""
    if "protocols" not in results:
        return (View(str(results.get("protocol") or ""), results),)
    shared = {key: value for key, value in results.items() if key != "protocols"}
    return tuple(View(str(key), {**shared, **own}) for key, own in results["protocols"].items())


def headline_pair(view: View) -> tuple[str, str] | None:
    """The two systems that the study is about, which `headline` names."""
    named = view.data.get("headline") or {}
    a, b = named.get("a"), named.get("b")
    return (str(a), str(b)) if {a, b} <= set(view.systems) else None
