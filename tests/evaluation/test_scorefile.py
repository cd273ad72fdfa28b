from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ScoreError
from shortvox.evaluation import scorefile
from shortvox.evaluation.scorefile import ScoreTable, read_scores, repeated_trials, write_scores
from shortvox.evaluation.trials import Trials

TABLE = ScoreTable.of_ids(("a 1", "a2"), ("b1", "ü/2.wav"), [0.1 + 0.2, -1e-17], [True, False])


def ids(table: ScoreTable) -> list[list[str]]:
    return [[table.names[position] for position in side] for side in (table.enrol, table.test)]


def assert_same(one: ScoreTable, other: ScoreTable) -> None:
    assert ids(one) == ids(other)
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.label, other.label)


@pytest.mark.parametrize("name", ["scores.tsv", "scores.parquet"])
def test_scores_survive_their_file(tmp_path: Path, name: str) -> None:
    write_scores(tmp_path / name, TABLE)
    assert_same(read_scores(tmp_path / name), TABLE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "text",
    [
        "enrol\ttest\tscore\tlabel\na\tb\t0.5\ttarget\na\tc\t-3\tnontarget\n",
        "enrol test score label\na b 0.5 1\na c -3 0\n",
        "\ufeffLabel  score enrol test system\r\n1 .5 a b x\r\n\r\n0 -3e0 a c x\r\n",
    ],
)
def test_files_of_other_toolkits(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores"
    path.write_text(text, newline="")
    expected = ScoreTable.of_ids(("a", "a"), ("b", "c"), [0.5, -3], [True, False])
    assert_same(read_scores(path), expected)


@pytest.mark.parametrize("label", [["target", "nontarget"], [1, 0], [True, False], [1.0, 0.0]])
def test_parquet_labels(tmp_path: Path, label: list[object]) -> None:
    path = tmp_path / "scores.parquet"
    columns = {
        "enrol": ["a", "a"],
        "test": ["b", "c"],
        "score": pa.array([1, 2], pa.float32()),
        "label": label,
    }
    pq.write_table(pa.table(columns), path)
    assert read_scores(path).label.tolist() == [True, False]
    for odd in ([{"a": 1}, {"a": 0}], [[1], [0]]):
        pq.write_table(pa.table({**columns, "label": odd}), path)
        with pytest.raises(ScoreError, match="row 1: column label has"):
            read_scores(path)
    columns["score"] = pa.array([1.0, None])
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ScoreError, match="row 2: column score has None"):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("enrol test label\n", "row 1: no column score"),
        ("a b 0.5 1\n", "row 1: no column enrol, test, score, label"),
        ("enrol test score label\na b 0.5 1\na b 0.5\n", "row 3: 3 columns, the header has 4"),
        ("enrol test score label\n\na b x 1\n", "row 3: column score has 'x'; expected a finite number"),
        ("enrol test score label\na b nan 1\n", "row 2: column score has 'nan'"),
        ("enrol test score label\na b inf 1\n", "row 2: column score has 'inf'"),
        ("enrol test score label\na b 1_000 1\n", "row 2: column score has '1_000'"),
        ("enrol test score label\na b 1 1\na b \u0663 1\n", "row 3: column score has '\u0663'"),
        ("enrol test score label\na b 1 yes\n", "row 2: column label has 'yes'"),
        ("enrol test score score label\na b 1 1 1\n", "row 1: 2 columns score"),
        ("enrol test score Label label\na b 1 1 1\n", "row 1: 2 columns label"),
        ("enrol test score label\n", "no trials"),
        ("\nenrol test score label\na b 1 1\n", "no header in row 1"),
        (
            "enrol test score label\na b 1 1\na c 0 0\nb a 0 0\n",
            "row 4: 'b' and 'a' are a non-target trial, and not in row 2",
        ),
        ("enrol test score label\na b 0 0\n\na b 1 1\n", "row 4: 'a' and 'b' are a target trial, and not in row 2"),
        ("enrol test score label\na a 1 0\n", "row 2: 'a' against itself"),
        ("enrol\ttest\tscore\tlabel\n\tb\t1\t1\n", "row 2: column enrol has ''"),
    ],
)
def test_a_malformed_cell_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text(text)
    with pytest.raises(ScoreError, match=message) as raised:
        read_scores(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_what_is_no_score_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    for content in (b"PAR1 truncated", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(ScoreError, match=r"scores\.parquet: (cannot be read|UTF-16)"):
            read_scores(path)
    with pytest.raises(ScoreError, match=r"missing\.tsv: no such file"):
        read_scores(tmp_path / "missing.tsv")


def test_table_of_trials() -> None:
    corpus = Corpus("c", Path("/c"), tuple(Utterance(name, name[0], Path("/c") / name) for name in ("a1", "a2", "b1")))
    trials = Trials(np.array([0, 0]), np.array([1, 2]), np.array([True, False]))
    table = ScoreTable.of(trials, corpus, np.array([0.5, 0.25], dtype=np.float32))
    assert_same(table, ScoreTable.of_ids(("a1", "a1"), ("a2", "b1"), [0.5, 0.25], [True, False]))


@st.composite
def score_files(draw: st.DrawFn) -> tuple[str, list[tuple[str, str, float, bool]]]:
    """A file in one of the ways that people write them, and what it says."""
    separator = draw(st.sampled_from(["\t", " ", "   ", " \t"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    name = st.sampled_from(["a", "b/1.wav", "ü", "x\u2028y", '"q', "n\u00a0b", "#1", "1e5", "NULL", "null", "NaN"])
    names = draw(st.lists(st.tuples(name, name), max_size=12))
    number = st.sampled_from(["1", "-0.25", "+1.5", ".5", "3e-2", "1E3", "0.1", "12345678901234567890"])
    label = {True: ["1", "target", "True", "1.0"], False: ["0", "nontarget", "NONTARGET", "0.0"]}
    lines, rows = [separator.join(("enrol", "test", "score", "label"))], []
    for first, second in names:
        score, said = draw(number), draw(st.sampled_from(label[first == second]))
        lines.append(separator.join((first, second, score, said)))
        rows.append((first, second, float(score), first == second))
        lines += draw(st.lists(st.just(""), max_size=1))
    return end.join(lines) + draw(st.sampled_from(["", end])), rows


@settings(max_examples=80, deadline=None)
@given(score_files(), st.sampled_from([1, 40, 2**24]))
def test_whatever_the_pieces_a_file_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, list[tuple[str, str, float, bool]]], piece: int
) -> None:
    text, rows = file
    path = tmp_path_factory.getbasetemp() / "scores.tsv"
    path.write_text(text, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorefile, "PIECE", piece)
        if not rows:
            with pytest.raises(ScoreError, match="no trials"):
                read_scores(path)
            return
        table = read_scores(path)
    assert list(zip(*ids(table), table.score.tolist(), table.label.tolist(), strict=True)) == rows
    lines = text.replace("\r", "").split("\n")
    assert all(lines[at - 1].startswith(row[0]) for at, row in zip(table.row, rows, strict=True))


def test_plain_files_are_read_without_looking_at_single_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorefile, "_by_line", None)
    for separator, end in (("\t", "\n"), (" ", "\r\n"), ("  ", "\n")):
        path = tmp_path / "scores"
        rows = ("label", "score", "x", "test", "enrol"), ("1", "-1.5e-3", "?", "ü", "a b" if separator == "\t" else "a")
        path.write_text(end.join(separator.join(row) for row in rows), newline="")
        table = read_scores(path)
        assert ids(table) == [[rows[1][4]], ["ü"]]
        assert (table.score.tolist(), table.label.tolist(), table.row.tolist()) == ([-0.0015], [True], [2])


def test_a_row_is_named_in_any_piece_and_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorefile, "PIECE", 64)
    monkeypatch.setattr(scorefile, "ROWS", 4)
    path = tmp_path / "scores.tsv"
    rows = [f"a{number} b 0.5 1" for number in range(20)]
    for content, message in (
        ("a b 0,5 1", "row 14: column score has '0,5'"),
        ("a b 1", "row 14: 3 columns"),
        ("a \ufeffb 1 1", "row 14: a byte order mark"),
        ("a b nan 1", "row 14: column score has 'nan'"),
    ):
        path.write_text("\n".join(["enrol test score label", *rows[:12], content, *rows[12:]]))
        with pytest.raises(ScoreError, match=message):
            read_scores(path)
    path.write_bytes(path.read_text().replace("nan", "é").encode("latin-1"))
    with pytest.raises(ScoreError, match="row 14: not UTF-8"):
        read_scores(path)
    columns = {"enrol": range(20), "test": ["b"] * 20, "score": [0.5] * 13 + [float("inf")] * 7, "label": [1] * 20}
    pq.write_table(pa.table({name: pa.array(list(cells)) for name, cells in columns.items()}), path)
    with pytest.raises(ScoreError, match="row 14: column score has inf"):
        read_scores(path)


@pytest.mark.parametrize("content", [gzip.compress(b"x"), "enrol test".encode("utf-16")])
def test_what_is_no_plain_text_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scores.tsv"
    path.write_bytes(content)
    with pytest.raises(ScoreError, match=r"compressed|UTF-16"):
        read_scores(path)


def test_repeated_trials_are_counted() -> None:
    table = ScoreTable.of_ids(["a", "b", "a", "a"], ["b", "a", "b", "b"], [1, 1, 1, 2], [True] * 4)
    assert "2 of 4 rows repeat" in (repeated_trials(table) or "")
    assert repeated_trials(TABLE) is None
