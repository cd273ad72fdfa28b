"""The page and the terminal table, on made-up results (report_sample.py)."""

from __future__ import annotations

import copy
import io
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_sample as sample
from rich.console import Console

from shortvox.errors import ShortvoxError
from shortvox.report.figures import spread_out
from shortvox.report.findings import at_a_glance, lead
from shortvox.report.render import render, write_report
from shortvox.report.tables import comparison_rows, difference_grid, eer_grid, notes_grid
from shortvox.report.terminal import results_table
from shortvox.report.views import headline_pair, number, p_value, views_of


@pytest.fixture(scope="module")
def page() -> str:
    return render(sample.two_protocols())


class Page(HTMLParser):
    """What a browser would see: tags, ids, references, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_page_loads_nothing_from_anywhere(page: str) -> None:
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "base"}
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "@import" not in page
    assert "http" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_parts_of_the_trials_are_shown_where_there_are_any(page: str) -> None:
    assert 'id="parts"' not in page
    results = sample.small()
    day = {
        "systems": {
            name: {"lengths": {length: {"eer": 0.0123, "indicative": True} for length in ("full", "1")}}
            for name in results["systems"]
        },
        "n_target": 12,
        "n_nontarget": 3456,
    }
    results["by"] = {"session": {"day0": day, "day<1>": {"systems": None, "n_target": 0, "n_nontarget": 2}}}
    text = Page(render(results)).text
    assert "EER %, Full × short, session day0" in text
    assert "12 target and 3,456 non-target trials" in text
    assert "day<1>" not in text  # no error rate exists for it
    out = io.StringIO()
    Console(file=out, width=120).print(results_table(results))
    assert "Full × short, session day0" in out.getvalue()
    assert "1.23" in out.getvalue()


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]*)\)", page)) | set(re.findall(r'href="#([^"]*)"', page))
    assert used and used <= set(ids)


def test_every_system_length_and_figure_is_there(page: str) -> None:
    seen = Page(page)
    text, words = seen.text, " ".join(seen.words)
    results = sample.two_protocols()
    for found in results["protocols"].values():
        for name, system in found["systems"].items():
            assert name in text
            for length, measured in system["lengths"].items():
                assert f"{100 * measured['eer']:.2f}" in text, (name, length)
    for label in (
        "full",
        "5\u00a0s",
        "1.5\u00a0s",
        "Full × short",
        "Short × short",
        "8.07",
        "† 38 % short",
        "fewer steps",
    ):
        assert label in words, label
    assert results["command"] in text and results["notes_table"]["about"] in text


def test_unequal_steps_are_said_wherever_a_system_is_judged_by_its_figures() -> None:
    """In the table, in the costs, in the findings and in the terminal."""
    results = sample.two_protocols()
    fewer = Page(render(results)).text.count("fewer steps")
    assert fewer > 2
    for found in results["protocols"].values():
        found["systems"]["teacher"]["fewer_steps"] = False
        found["systems"]["teacher"]["more_steps"] = True
    text = Page(render(results)).text
    assert "fewer steps" not in text
    assert text.count("more steps") == fewer
    assert "More training steps than the others: teacher. A lower error there says nothing" in text
    assert "(more steps)" in printed(results)


def test_charts_have_alternative_text_and_follow_the_scheme(page: str) -> None:
    charts = [attributes for tag, attributes in Page(page).tags if tag == "svg"]
    assert len(charts) >= 2 * (1 + 8 + 3 + 1 + 1 + 1) + 3
    assert all(attributes["role"] == "img" and len(attributes["aria-label"] or "") > 20 for attributes in charts)
    assert "prefers-color-scheme: dark" in page
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.search(r"(fill|stroke): ?#", drawings)  # every colour is a variable of the page
    assert "var(--s8)" in drawings and "font-family" not in drawings


def test_tables_scroll_in_their_own_container(page: str) -> None:
    tables = page.count("<table")
    assert tables and tables == page.count('<div class="scroll"')


def test_same_results_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(sample.small(), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_rendering_changes_neither_results_nor_matplotlib() -> None:
    import matplotlib

    results = sample.small()
    before, style = copy.deepcopy(results), dict(matplotlib.rcParams)
    render(results)
    assert results == before
    assert dict(matplotlib.rcParams) == style


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=y>',
    "$\\frac{$",
    "_hidden",
    "日本語",
    "a & b",
    "{{ 7*7 }}",
    'x" id="y #010100 url(#z',
    "%s %(a)s {0}",
)


def test_hostile_names_stay_text() -> None:
    results = sample.small()
    system = results["systems"]["frozen-fc"]
    results["systems"] = {**dict.fromkeys(HOSTILE, system), **results["systems"]}
    results["comparisons"] += [{**results["comparisons"][0], "a": name} for name in HOSTILE]
    everything = " ".join(HOSTILE)
    results.update(title=everything, about=everything, command=everything, settings={everything: everything})
    results["corpus"]["notes"] = list(HOSTILE)
    results["corpus"]["train"].update({name: name for name in HOSTILE})
    results["notes_table"]["rows"].update({name: [1.0] * 6 for name in HOSTILE})
    seen = Page(render(results))
    assert all(name in " ".join(seen.words) for name in HOSTILE)
    assert not {"script", "img"} & {tag for tag, _ in seen.tags}
    assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_synthetic_is_said_in_the_title() -> None:
    plain, made = render(sample.small()), render({**sample.small(), "synthetic": True})
    assert "SYNTHETIC" not in plain
    title = re.search(r"<title>(.*?)</title>", made)
    assert title and title[1].startswith("SYNTHETIC voices: ")
    assert "say nothing about recorded human speech" in Page(made).text


def test_a_title_that_says_synthetic_is_left_alone() -> None:
    page = render({"title": "Demo (SYNTHETIC)", "synthetic": True, "systems": {}})
    assert "<title>Demo (SYNTHETIC)</title>" in page


def test_one_protocol_gives_one_view() -> None:
    (view,) = views_of(sample.one_protocol())
    assert view.key == "full-short" and view.lengths == sample.LENGTHS
    first, second = views_of(sample.two_protocols())
    assert (first.key, second.key) == ("full-short", "short-short")
    assert second.data["corpus"] == sample.shared()["corpus"]


MINIMAL: dict[str, Any] = {"protocol": "full-short", "systems": {"only": {"lengths": {"1": {"eer": 0.125}}}}}


@pytest.mark.parametrize(
    "results",
    [
        {"systems": {}},
        {"protocols": {}},
        MINIMAL,
        {**MINIMAL, "comparisons": None, "corpus": None, "trials": None},
        {"systems": {"a": {}, "b": {"lengths": {"full": {"eer": None}}}}},
    ],
)
def test_missing_keys_leave_gaps_not_errors(results: dict[str, Any]) -> None:
    page = render(results)
    assert "<h1>" in page and "None" not in Page(page).text and "nan" not in Page(page).text.lower()


def test_only_the_systems_are_needed() -> None:
    assert "</html>" in render({"systems": sample.small()["systems"]})
    assert "</html>" in render({key: value for key, value in sample.small().items() if key != "systems"})


def lacking(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """For every key, the same without it and with null in its place."""
    without = {f"{key} absent": {k: v for k, v in whole.items() if k != key} for key in whole}
    return without | {f"{key} null": {**whole, key: None} for key in whole}


def test_every_key_of_a_system_may_be_null_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortvox.report.figures.panels", lambda view, name: [])  # many, alike, slow
    system = sample.small()["systems"]["frozen-fc"]
    measured = {name: {"lengths": {"1": found}} for name, found in lacking(system["lengths"]["1"]).items()}
    for systems in (lacking(system), measured):
        text = Page(render({"protocol": "full-short", "systems": systems})).text
        assert "None" not in text and all(name in text for name in systems)


def scored(text: str, **settings: str) -> dict[str, Any]:
    return {"text": text, "settings": settings, "cohort": None}


def test_head_drift_is_spoken_of_where_there_is_any(page: str) -> None:
    results = sample.small()
    for system in results["systems"].values():
        del system["head_drift_degrees"], system["head_drift_seeds"]
    assert "the head and to the embeddings" in page
    without = render(results)
    assert "What happened to the embeddings" in without
    assert not re.search("head drift|the head", without, re.IGNORECASE)


def test_how_scores_were_made_is_told() -> None:
    results = sample.small()
    first, second = results["systems"].values()
    first["scoring"] = second["scoring"] = scored("cosine of whole crops")
    text = Page(render(results)).text
    assert "Scores. cosine of whole crops." in text
    assert "never repeated" in text and "see these seconds only" in text
    second["scoring"] = scored("distance of whole crops", context="file")
    first["scoring"] = scored("cosine of whole crops", short_files="repeat")
    second["voiceless"] = {"full": {"crops": 390, "voiceless": 0}, "1": {"crops": 390, "voiceless": 7}}
    text = Page(render(results)).text
    assert "from-teacher: cosine of whole crops; frozen-fc: distance of whole crops." in text
    assert "heard whole files before the cut for frozen-fc" in text
    assert "repeated up to it for from-teacher" in text
    assert "no speech in some crops of frozen-fc (7 of 390 at 1 s)" in text.replace("\u00a0", " ")


def test_the_notes_may_have_several_tables_and_rows_without_a_figure() -> None:
    results = sample.small()
    results["notes_table"] |= {
        "columns": ["1", "full (TTA)"],
        "rows": {"a": [8.5, 2.1], "b": None},
        "more": [{"title": "minDCF", "columns": ["1"], "rows": {"a": [0.2194]}, "digits": 4, "about": "Second."}],
    }
    text = Page(render(results)).text
    assert "The research notes’ own tables" in text
    for words in ("full (TTA)", "b no figure", "Printed elsewhere, on other data.", "minDCF", "0.2194", "Second."):
        assert words in text


def test_no_figure_is_a_dash() -> None:
    results = sample.one_protocol()
    results["systems"]["continued"]["lengths"]["1"]["eer"] = None
    grid = eer_grid(views_of(results)[0])
    assert grid.rows[1].cells[-1].value == "–" and grid.rows[1].cells[-1].small == ""
    assert notes_grid(results["notes_table"]).rows[-1].cells[0].value == "–"
    assert notes_grid(results["notes_table"]).rows[-1].tags == ("no figure",)
    assert [number(value) for value in (None, float("nan"), float("inf"), "x", True, -0.001, -1.5)] == [
        "–",
        "–",
        "–",
        "–",
        "–",
        "0.00",
        "−1.50",
    ]
    assert [p_value(value) for value in (None, 0.0001, 0.04)] == ["–", "< 0.001", "0.040"]


def test_best_of_a_column_is_the_lowest_printed_figure() -> None:
    systems = {
        name: {"lengths": {"1": {"eer": eer}}}
        for name, eer in (("a", 0.10001), ("b", 0.10002), ("c", 0.2), ("d", None))
    }
    grid = eer_grid(views_of({"systems": systems})[0])
    assert [row.cells[0].best for row in grid.rows] == [True, True, False, False]
    alone = eer_grid(views_of({"systems": {"a": systems["a"]}})[0])
    assert not alone.rows[0].cells[0].best


def test_lengths_run_from_longest_to_shortest() -> None:
    (view,) = views_of({"systems": {"a": {"lengths": {"1": {}, "10": {}, "full": {}, "1.5": {}}}}})
    assert view.lengths == ("full", "10", "1.5", "1")


def compared(
    difference: float, significant: bool, speakers: int = 40, a: str = "frozen-fc", b: str = "from-teacher"
) -> dict[str, Any]:
    eers = {"frozen-fc": 0.10 + difference, "from-teacher": 0.10}
    difference = difference if a == "frozen-fc" else -difference
    return {
        "protocol": "full-short",
        "headline": {"a": "frozen-fc", "b": "from-teacher"},
        "trials": {"speakers": speakers},
        "systems": {name: {"lengths": {"1": {"eer": eer}}} for name, eer in eers.items()},
        "comparisons": [
            {
                "a": a,
                "b": b,
                "length": "1",
                "difference": difference,
                "p": 0.01,
                "p_holm": 0.01,
                "interval": [difference - 0.01, difference + 0.01],
                "significant": significant,
                "indicative": speakers < 20,
            }
        ],
    }


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (compared(-0.02, True), "gives significantly fewer errors"),
        (compared(0.02, True), "significantly more errors"),
        (compared(-0.02, True, a="from-teacher", b="frozen-fc"), "gives significantly fewer errors"),
        (compared(-0.002, False), "makes no significant difference"),
        (
            compared(-0.02, True, speakers=11),
            "speech, but with only 11 test speakers this is indicative, and no significance is claimed",
        ),
    ],
)
def test_lead_says_what_the_comparison_allows(results: dict[str, Any], words: str) -> None:
    opening = lead(views_of(results))[0]
    assert words in opening
    assert "Freezing the classifier head (frozen-fc)" in opening


@pytest.mark.parametrize("settings", [{"test": {"draws": 1000}}, {"draws": 1000}])
def test_too_many_comparisons_for_the_draws_are_said_to_be(settings: dict[str, Any]) -> None:
    results = {**compared(-0.02, False), "settings": settings}
    (most,) = views_of({**results, "comparisons": results["comparisons"] * 25})  # 25 x 2 / 1001 is just below 0.05
    assert "makes no significant difference" in lead([most])[0]
    (many,) = views_of({**results, "comparisons": results["comparisons"] * 26})
    words = "Too many comparisons (26) for 1000 draws to call any difference significant"
    assert words in lead([many])[0]
    assert any(words in point for point in at_a_glance([many]))
    assert not any("no significant" in line for line in [*lead([many]), *at_a_glance([many])])


def test_few_speakers_never_show_a_significant_cell() -> None:
    (view,) = views_of(compared(-0.02, True, speakers=11))
    assert all(not cell.mark for row in difference_grid(view).rows for cell in row.cells)
    assert any("indicative" in point for point in at_a_glance([view]))


def test_main_pair_leads_the_differences_the_way_round_it_is_asked() -> None:
    (view,) = views_of(sample.one_protocol())
    assert headline_pair(view) == ("frozen-fc", "from-teacher")
    row = difference_grid(view).rows[0]
    assert row.label == "frozen-fc − from-teacher"
    expected = 100 * (view.eer("frozen-fc", "1") - view.eer("from-teacher", "1"))  # type: ignore[operator]
    assert row.cells[-1].value == f"{expected:+.2f}".replace("-", "−")
    (named,) = views_of({**sample.one_protocol(), "headline": {"a": "scratch-2s", "b": "continued"}})
    assert headline_pair(named) == ("scratch-2s", "continued")
    for headline in (None, {"a": "frozen-fc", "b": "gone"}):
        (other,) = views_of({"systems": {"frozen-fc": {}, "baseline": {}}, "headline": headline})
        assert headline_pair(other) is None


def test_labels_are_pushed_apart_and_keep_their_order() -> None:
    placed = spread_out([10.0, 10.5, 11.0, 50.0], 12.0)
    gaps = [high - low for low, high in itertools.pairwise(placed)]
    assert min(gaps) >= 12.0 - 1e-9
    assert placed[-1] == 50.0 and sum(placed[:3]) / 3 == pytest.approx(10.5)


def with_one_training(results: dict[str, Any]) -> dict[str, Any]:
    for system in results["systems"].values():
        for figures in system["lengths"].values():
            figures["seeds"] = figures["seeds"][:1]
    for row in results["comparisons"]:
        row["trainings"] = 1
    return results


def test_a_verdict_says_what_it_rests_on() -> None:
    results = sample.small()
    page, (view,) = Page(render(results)).text, views_of(results)
    assert "A verdict holds over speakers and 3 trainings ." in page and "one training" not in page
    assert "over speakers and 3 trainings" in lead([view])[0] and "and 3 trainings" in at_a_glance([view])[-1]
    assert "over speakers and 3 trainings" in printed(results)
    results = with_one_training(results)
    page, (view,) = Page(render(results)).text, views_of(results)
    assert "A verdict holds over speakers; one training : how far" in page and "3 trainings" not in page
    assert "(over speakers; one training)" in lead([view])[0] and "; one training)" in at_a_glance([view])[-1]
    assert "over speakers; one training" in printed(results)


def test_a_p_at_the_floor_of_the_draws_is_not_given_as_a_figure() -> None:
    results = sample.small()
    row = results["comparisons"][0]
    floor = 2 / (sample.DRAWS + 1)
    row |= {"p": floor, "p_holm": 168 * floor, "resolution": 168 * floor}
    row["min_dcf"]["0.05"] |= {"p": floor * 3, "p_holm": 0.02}
    (view,) = views_of(results)
    assert view.holm_p(row) == "< 0.005"
    rows, costs = comparison_rows(view), comparison_rows(view, cost=True)
    assert (rows[0]["p"], rows[0]["p_holm"]) == ("< 0.00003", "< 0.005")
    assert (costs[0]["p"], costs[0]["p_holm"]) == ("< 0.001", "0.020")
    assert "p < 0.005" in printed(results) and "< 0.005" in Page(render(results)).text
    old = {**results, "bootstrap": None, "settings": {"test": {"draws": 1999}}}  # results that recorded no resolution
    found = {"p_holm": 0.002 * len(results["comparisons"]) / 2}
    assert views_of(old)[0].holm_p(found) == "< 0.002"
    assert [p_value(1.0, 1.0), p_value(0.5, 0.5), p_value(0.00444, 0.00444)] == ["1.000", "< 0.5", "< 0.0045"]


def test_costs_are_compared_beside_error_rates() -> None:
    results = sample.two_protocols()
    view = views_of(results)[1]
    rates, costs = difference_grid(view), difference_grid(view, cost=True)
    assert [row.label for row in rates.rows] == [row.label for row in costs.rows]
    found = view.comparison("frozen-fc", "from-teacher", "1", cost=True)
    expected = view.at("frozen-fc", "1")["min_dcf"]["0.05"] - view.at("from-teacher", "1")["min_dcf"]["0.05"]
    assert found is not None and found["difference"] == pytest.approx(expected)  # recorded the other way round
    assert costs.rows[0].cells[-1].value == f"{expected:+.3f}".replace("-", "−")
    page = Page(render(results)).text
    assert "minDCF (p = 0.05), all pairs, Short × short" in page and "in minDCF at 1 s" in page
    text = printed(results)
    assert "difference in minDCF" in text and costs.rows[0].cells[-1].value in text
    assert "16 more pairs in the report" not in text and "32 more pairs in the report" in text


def test_random_crops_show_their_range() -> None:
    first, second = views_of(sample.two_protocols())
    assert first.crop_range("teacher", "1") is None and second.crop_range("teacher", "full") is None
    eer = second.eer("teacher", "1")
    assert eer is not None and second.crop_range("teacher", "1") == pytest.approx((0.9 * eer, 1.1 * eer))
    words = f"crops {90 * eer:.1f}–{110 * eer:.1f}"
    results = sample.two_protocols()
    assert words in Page(render(results)).text and words in printed(results)
    assert "random places" in printed(results) and "random places" not in printed(sample.one_protocol())


def printed(results: dict[str, Any]) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=160).print(results_table(results))
    return buffer.getvalue()


def test_terminal_table_has_every_protocol_system_and_figure() -> None:
    results = sample.two_protocols(speakers=11)
    text = printed(results)
    for found in results["protocols"].values():
        for name, system in found["systems"].items():
            assert name in text
            for measured in system["lengths"].values():
                low, high = measured["intervals"]["eer"]
                assert f"{100 * measured['eer']:.2f}" in text
                assert f"{100 * low:.1f}–{100 * high:.1f}" in text
    assert "Full × short" in text and "Short × short" in text and "indicative" in text and "fewer steps" in text


def test_terminal_table_takes_markup_as_text_and_says_synthetic() -> None:
    text = printed({"synthetic": True, "systems": {"[red]x[/]": {"lengths": {"1": {"eer": 0.1}}}}})
    assert "[red]x[/]" in text and "SYNTHETIC" in text and "10.00" in text


def test_unwritable_path_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ShortvoxError, match=r"report\.html"):
        write_report(MINIMAL, tmp_path / "report.html")
