"""What the figures say, in sentences computed from them and worded no stronger than they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shortvox.report.scoring import voiceless_points
from shortvox.report.views import (
    SHORT_LIMIT,
    View,
    finite,
    finite_length,
    headline_pair,
    length_label,
    number,
    over,
    pair,
    percent,
)


def lead(views: Sequence[View]) -> list[str]:
    """The paragraphs at the top of the page: the answer in plain words, then the figures behind it."""
    measured = [view for view in views if view.systems and view.lengths]
    if not measured:
        return ["No system was measured."]
    answers = [(view, *answer) for view in measured if (answer := _answer(view)) is not None]
    if not answers:
        return [sentence for view in measured for sentence in _best(view)]
    verdicts = list(dict.fromkeys(verdict for _, verdict, _ in answers))
    if len(verdicts) == 1:
        opening = [verdicts[0].replace("{where}", _under(len(answers), verdicts[0]))]
    else:
        opening = [f"{view.label}: {verdict.replace('{where}', '')}" for view, verdict, _ in answers]
    return [*opening, " ".join(figures for _, _, figures in answers)]


def _under(count: int, verdict: str) -> str:
    negative = " no significant " in verdict
    names = {1: "", 2: " under either protocol" if negative else " under both protocols"}
    return names.get(count, " under any protocol" if negative else " under every protocol")


def at_a_glance(views: Sequence[View]) -> list[str]:
    """Further findings and the cautions that belong beside them."""
    points = []
    if any(_answer(view) for view in views):
        points += [sentence for view in views for sentence in _best(view)]
    points += [sentence for view in views for sentence in _counts(view)]
    fewer = [name for name in views[0].systems if views[0].system(name).get("fewer_steps")]
    if fewer:
        points.append(
            f"Fewer training steps than the others: {_names(fewer)}. A higher error there says nothing "
            "about the method."
        )
    more = [name for name in views[0].systems if views[0].system(name).get("more_steps")]
    if more:
        points.append(
            f"More training steps than the others: {_names(more)}. A lower error there says nothing about the method."
        )
    short = {length for view in views for length in view.lengths if view.short_fraction(length) > SHORT_LIMIT}
    if short:
        ordered = sorted(short, key=lambda length: -(finite_length(length) or 0.0))
        points.append(
            f"At {_names([length_label(length) for length in ordered])} more than 20\u00a0% of the test "
            "files are shorter than the length asked for."
        )
    return points + voiceless_points(views)


def _answer(view: View) -> tuple[str, str] | None:
    """(verdict in plain words, with {where} for the protocols; the figures) on the main pair."""
    found, length = headline_pair(view), view.shortest
    if found is None or length is None:
        return None
    a, b = found
    compared = view.comparison(a, b, length)
    if view.eer(a, length) is None or view.eer(b, length) is None:
        return None
    figures = (
        f"{view.label}: at {length_label(length)} {a} has an equal error rate of "
        f"{percent(view.eer(a, length))}\u00a0% and {b} {percent(view.eer(b, length))}\u00a0%"
    )
    if compared is None or finite(compared.get("difference")) is None:
        return f"{a} and {b} were not compared statistically{{where}}.", figures + "."
    figures += f"; the difference is {number(compared['difference'], 2, 100, signed=True)} percentage points"
    interval = pair(compared.get("interval"))
    if interval is not None:
        figures += f" (95\u00a0% interval {number(interval[0], 2, 100)} to {number(interval[1], 2, 100)}"
        adjusted = view.holm_p(compared)
        known = finite(compared.get("p_holm")) is not None
        figures += f", Holm-adjusted p {adjusted if adjusted[0] == '<' else '= ' + adjusted})" if known else ")"
    cost = view.comparison(a, b, length, cost=True)
    if cost is not None and finite(cost.get("difference")) is not None:
        adjusted = view.holm_p(cost)
        figures += (
            f". In minDCF they differ by {number(cost['difference'], 3, signed=True)}"
            f" (Holm-adjusted p {adjusted if adjusted[0] == '<' else '= ' + adjusted})"
        )
    return _verdict(view, a, b, length, compared), figures + "."


def _verdict(view: View, a: str, b: str, length: str, compared: Mapping[str, Any]) -> str:
    choice = f"{a} rather than {b}"
    if "frozen" in a.lower() and "frozen" not in b.lower():
        choice = f"Freezing the classifier head ({a}) rather than training it ({b})"
    at = f"with {length_label(length)} of test speech"
    if compared.get("indicative") or view.indicative:
        who = "too few" if view.speakers is None else f"only {view.speakers}"
        way = "level" if compared["difference"] == 0 else "lower" if compared["difference"] < 0 else "higher"
        return (
            f"{choice} came out {way} in equal error rate {at}{{where}}, but with {who} test speakers this is "
            "indicative, and no significance is claimed."
        )
    rests_on = over(compared.get("trainings") or view.trainings)
    if compared.get("significant"):
        change = "fewer" if compared["difference"] < 0 else "more"
        return f"{choice} gives significantly {change} errors {at}{{where}} ({rests_on})."
    if view.undecidable:
        return _undecidable(view)
    return (
        f"{choice} makes no significant difference {at}{{where}} ({rests_on}): the test shows neither that one is "
        "better nor that the two are equal."
    )


def _undecidable(view: View) -> str:
    return (
        f"Too many comparisons ({len(view.comparisons)}) for {view.draws} draws to call any difference significant; "
        "leave test.draws out, which draws enough, or name fewer pairs."
    )


def _best(view: View) -> list[str]:
    length = view.shortest
    if length is None:
        return []
    ranked = sorted((eer, name) for name in view.systems if (eer := view.eer(name, length)) is not None)
    if not ranked:
        return []
    (eer, name), (worst, loser) = ranked[0], ranked[-1]
    if len(ranked) > 1:
        return [
            f"{view.label}: the lowest equal error rate at {length_label(length)} is "
            f"{percent(eer)}\u00a0% ({name}), the highest {percent(worst)}\u00a0% ({loser})."
        ]
    longest = view.lengths[0]
    at_most = view.eer(name, longest)
    full = "full length" if longest == "full" else length_label(longest)
    against = "" if at_most is None or longest == length else f", against {percent(at_most)}\u00a0% at {full}"
    return [
        f"{view.label}: {name} has an equal error rate of {percent(eer)}\u00a0% at {length_label(length)}{against}."
    ]


def _counts(view: View) -> list[str]:
    compared = [found for found in view.comparisons if found.get("length") == view.shortest]
    if view.indicative:
        who = "" if view.speakers is None else f" ({view.speakers})"
        return [f"{view.label}: fewer than 20 test speakers{who}, so every interval is indicative."]
    if not compared or view.shortest is None:
        return []
    if view.undecidable:
        return [f"{view.label}: {_undecidable(view)}"]
    found = sum(bool(item.get("significant")) for item in compared)
    costs = [item for item in view.cost_comparisons if item.get("length") == view.shortest]
    also = f" in EER, {sum(bool(item.get('significant')) for item in costs)} in minDCF" if costs else ""
    return [
        f"{view.label}: {found} of {len(compared)} pairs of systems differ significantly{also} at "
        f"{length_label(view.shortest)} ({over(view.trainings)})."
    ]


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
