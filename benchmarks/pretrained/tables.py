"""Tables of a comparison, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

PROTOCOLS = {"full-short": "P-A, full x short", "short-short": "P-B, short x short"}
ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """Cells as text, `**bold**` where something is significant."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join([f"{self.title}", "", *("| " + " | ".join(cells) + " |" for cells in lines)])

    def rich(self) -> RichTable:
        table = RichTable(title=Text(self.title), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for place, name in enumerate(self.header):
            table.add_column(Text(name), justify="right" if place else "left", no_wrap=bool(place))
        for row in self.rows:
            table.add_row(*(Text(cell.strip("*"), style="bold" if cell.startswith("**") else "") for cell in row))
        return table


def markdown(results: Mapping[str, Any]) -> str:
    return "\n\n".join(table.markdown() for table in tables(results)) + "\n"


def for_terminal(results: Mapping[str, Any]) -> Group:
    return Group(*(table.rich() for table in tables(results)))


def tables(results: Mapping[str, Any]) -> Iterator[Table]:
    """All that a comparison has measured."""
    for name, by_protocol in (results.get("clean") or {}).items():
        for protocol, figures in by_protocol.items():
            where = f"{name}, {PROTOCOLS[protocol]}"
            yield _rates(f"{where}: EER in percent (95 % interval; {_over(figures)})", figures)
            yield _differences(f"{where}: difference of EER, points (interval; Holm's p)", figures)
    for name, by_kind in (results.get("degraded") or {}).items():
        clean = (results.get("clean") or {}).get(name, {}).get("full-short")
        yield from _degraded(name, clean, {kind: figures["full-short"] for kind, figures in by_kind.items()})
    for column, by_test in (results.get("groups") or {}).items():
        for name, by_value in (by_test or {}).items():
            yield _groups(f"{name} by {column}", {value: one["full-short"] for value, one in by_value.items()})
    if results.get("speed"):
        yield _speed(results["speed"])


def rate(one: Mapping[str, Any] | None) -> str:
    """`2.5 (1.2–3.8)`, in percent."""
    if one is None:
        return ABSENT
    low, high = (100 * end for end in one["interval"])
    return f"{100 * one['eer']:.1f} ({low:.1f}–{high:.1f})"


def difference(row: Mapping[str, Any]) -> str:
    low, high = (_signed(100 * end) for end in row["interval"])
    p = "< 0.005" if row["p_holm"] < 0.005 else f"{row['p_holm']:.2g}"
    text = f"{_signed(100 * row['difference'])} ({low} to {high}; {p})"
    return f"**{text}**" if row["significant"] else text


def length_name(length: str) -> str:
    return length if length == "full" else f"{length} s"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def _over(figures: Mapping[str, Any]) -> str:
    counts = figures["trials"]
    return f"{counts['speakers']} speakers, {counts['n_target']} target and {counts['n_nontarget']} non-target trials"


def _lengths(figures: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(length for system in figures["systems"].values() for length in system))


def _rates(title: str, figures: Mapping[str, Any]) -> Table:
    lengths = _lengths(figures)
    rows = tuple((name, *(rate(own.get(length)) for length in lengths)) for name, own in figures["systems"].items())
    return Table(title, ("encoder", *map(length_name, lengths)), rows)


def _differences(title: str, figures: Mapping[str, Any]) -> Table:
    lengths = _lengths(figures)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in figures["comparisons"]:
        found.setdefault((row["a"], row["b"]), {})[row["length"]] = difference(row)
    rows = tuple((f"{a} − {b}", *(own.get(length, ABSENT) for length in lengths)) for (a, b), own in found.items())
    return Table(title, ("difference", *map(length_name, lengths)), rows)


def _degraded(name: str, clean: Mapping[str, Any] | None, kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    """One table a length: degradations by encoders, and what is better or worse than the first peer compared with."""
    if not kinds:
        return
    some = next(iter(kinds.values()))
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in some["comparisons"]))
    for length in _lengths(some):
        header = ("tested", *some["systems"], *(f"{a} − {b}" for a, b in pairs))
        rows = []
        for kind, figures in (({"clean": clean} if clean else {}) | dict(kinds)).items():
            told = {(row["a"], row["b"]): difference(row) for row in figures["comparisons"] if row["length"] == length}
            rates = [rate(figures["systems"][system].get(length)) for system in some["systems"]]
            rows.append((kind, *rates, *(told.get(pair, ABSENT) for pair in pairs)))
        what = f"{name}, enrolled clean and whole, tested degraded, {length_name(length)}: EER in percent"
        yield Table(what, header, tuple(rows))


def _groups(title: str, values: Mapping[str, Mapping[str, Any]]) -> Table:
    some = next(iter(values.values()))
    columns = [(name, length) for length in _lengths(some) for name in some["systems"]]
    header = ("group", "speakers", *(f"{name}, {length_name(length)}" for name, length in columns))
    rows = tuple(
        (value, str(one["trials"]["speakers"]), *(rate(one["systems"][name].get(length)) for name, length in columns))
        for value, one in values.items()
    )
    return Table(f"{title}, full x short: EER in percent", header, rows)


def _speed(speed: Mapping[str, Any]) -> Table:
    peers: Sequence[str] = speed["ratios_to"]
    rows = tuple(
        (
            name,
            one["runtime"],
            f"{one['milliseconds']:.1f}",
            *(f"{one['milliseconds'] / speed['encoders'][peer]['milliseconds']:.2f}" for peer in peers),
        )
        for name, one in speed["encoders"].items()
    )
    header = ("encoder", "runtime", "ms", *(f"of {peer}" for peer in peers))
    return Table("One second of speech on one thread: milliseconds of processor time", header, rows)
