"""What the figures say, in sentences computed from them and worded no stronger than they allow."""

from __future__ import annotations

from shortvox.report.views import (
    SHORT_LIMIT,
    View,
    finite,
    finite_length,
    headline_pair,
    length_label,
    number,
    p_value,
    pair,
    percent,
)


def lead(views: tuple[View, ...]) -> list[str]:
    """One or more sentences for the top of the page: the question of the study and its answer."""
    if not any(view.systems and view.lengths for view in views):
        return ["No system was measured."]
    sentences = [sentence for view in views for sentence in _headline(view)]
    return sentences or [sentence for view in views for sentence in _best(view)]


def at_a_glance(views: tuple[View, ...]) -> list[str]:
    """Further findings and the cautions that belong beside them."""
    points = []
    if any(_headline(view) for view in views):
        points += [sentence for view in views for sentence in _best(view)]
    points += [sentence for view in views for sentence in _counts(view)]
    first = views[0]
    fewer = [name for name in first.systems if first.system(name).get("fewer_steps")]
    if fewer:
        points.append(f"{_names(fewer)} had fewer training steps than the others, so a higher error there says "
                      "nothing about the method.")
    short = sorted({length for view in views for length in view.lengths if view.short_fraction(length) > SHORT_LIMIT},
                   key=lambda length: -(finite_length(length) or 0.0))
    if short:
        points.append(f"At {_names([length_label(length) for length in short])} more than 20 % of the test files are "
                      "shorter than the length asked for and were used whole.")
    return points


def _headline(view: View) -> list[str]:
    found, length = headline_pair(view), view.shortest
    if found is None or length is None:
        return []
    a, b = found
    eer_a, eer_b = view.eer(a, length), view.eer(b, length)
    if eer_a is None or eer_b is None:
        return []
    text = (f"{view.label}, {length_label(length)} of test speech: {a} has an equal error rate of "
            f"{percent(eer_a)} %, {b} {percent(eer_b)} %")
    compared = view.comparison(a, b, length)
    if compared is None or finite(compared.get("difference")) is None:
        return [text + ". The two were not compared statistically."]
    text += f", a difference of {number(compared['difference'], 2, 100, signed=True)} percentage points"
    interval = pair(compared.get("interval"))
    if interval is not None:
        text += f" (95 % interval {number(interval[0], 2, 100)} to {number(interval[1], 2, 100)}"
        adjusted = compared.get("p_holm")
        text += f", Holm-adjusted p {_p(adjusted)})" if finite(adjusted) is not None else ")"
    return [f"{text}. {_verdict(view, compared)}"]


def _verdict(view: View, compared: object) -> str:
    assert isinstance(compared, dict)
    if compared.get("indicative") or view.indicative:
        who = "too few" if view.speakers is None else f"only {view.speakers}"
        return f"With {who} test speakers this is indicative; no significance is claimed."
    if compared.get("significant"):
        winner = compared["a"] if compared["difference"] < 0 else compared["b"]
        return f"The difference is significant, in favour of {winner}."
    return ("The difference is not significant: this test shows neither that one is better nor that the two "
            "are equal.")


def _best(view: View) -> list[str]:
    length = view.shortest
    figures = {name: view.eer(name, length) for name in view.systems} if length else {}
    ranked = sorted((eer, name) for name, eer in figures.items() if eer is not None)
    if not ranked or length is None:
        return []
    eer, name = ranked[0]
    if len(ranked) == 1:
        longest = view.eer(name, view.lengths[0])
        rise = ("" if longest is None or length == view.lengths[0]
                else f", against {percent(longest)} % at {_long(view)}")
        return [f"{view.label}: {name} has an equal error rate of {percent(eer)} % at {length_label(length)}{rise}."]
    worst, loser = ranked[-1]
    return [f"{view.label}: the lowest equal error rate at {length_label(length)} is {percent(eer)} % ({name}), the "
            f"highest {percent(worst)} % ({loser})."]


def _long(view: View) -> str:
    longest = view.lengths[0]
    return "full length" if longest == "full" else length_label(longest)


def _counts(view: View) -> list[str]:
    length = view.shortest
    compared = [found for found in view.comparisons if found.get("length") == length]
    if not compared or length is None:
        return []
    if view.indicative:
        who = "" if view.speakers is None else f" ({view.speakers})"
        return [f"{view.label}: fewer than 20 test speakers{who}, so every interval is indicative."]
    found = sum(bool(item.get("significant")) for item in compared)
    return [f"{view.label}: {found} of {len(compared)} pairs of systems differ significantly at "
            f"{length_label(length)}."]


def _p(value: object) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
