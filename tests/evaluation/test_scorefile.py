from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ScoreError
from shortvox.evaluation.scorefile import ScoreTable, read_scores, read_speakers, write_scores
from shortvox.evaluation.trials import Trials

TABLE = ScoreTable(("a 1", "a2"), ("b1", "ü/2.wav"), np.array([0.1 + 0.2, -1e-17]), np.array([True, False]))


def assert_same(one: ScoreTable, other: ScoreTable) -> None:
    assert (one.enrol, one.test) == (other.enrol, other.test)
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
    expected = ScoreTable(("a", "a"), ("b", "c"), np.array([0.5, -3]), np.array([True, False]))
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
        ("enrol test score label\na b 1 yes\n", "row 2: column label has 'yes'"),
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
        with pytest.raises(ScoreError, match=r"scores\.parquet: cannot be read"):
            read_scores(path)
    with pytest.raises(ScoreError, match=r"missing\.tsv: cannot be read"):
        read_scores(tmp_path / "missing.tsv")


def test_table_of_trials() -> None:
    corpus = Corpus("c", Path("/c"), tuple(Utterance(name, name[0], Path("/c") / name) for name in ("a1", "a2", "b1")))
    trials = Trials(np.array([0, 0]), np.array([1, 2]), np.array([True, False]))
    table = ScoreTable.of(trials, corpus, np.array([0.5, 0.25], dtype=np.float32))
    assert_same(table, ScoreTable(("a1", "a1"), ("a2", "b1"), np.array([0.5, 0.25]), trials.label))


@pytest.mark.parametrize(
    "text",
    [
        "u1 s1\nu2 s2\n",
        "u1\ts1\nu2\ts2\n",
        "u1,s1\n\nu2,s2\n",
        "utterance,speaker,path\nu1,s1,x.wav\nu2,s2,y.wav\n",
        "speaker\tutterance\ns1\tu1\ns2\tu2\n",
    ],
)
def test_speaker_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "speakers"
    path.write_text(text)
    assert read_speakers(path) == {"u1": "s1", "u2": "s2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1 s1\nu2\n", "row 2: 1 columns"),
        ("u1 s1\nu1 s2\n", "row 2: utterance 'u1'"),
        ("u1,\n", "row 1: utterance 'u1'"),
    ],
)
def test_malformed_speaker_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "speakers"
    path.write_text(text)
    with pytest.raises(ScoreError, match=message):
        read_speakers(path)
    with pytest.raises(ScoreError, match="nowhere"):
        read_speakers(tmp_path / "nowhere")
