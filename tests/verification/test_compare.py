"""Two sides of recordings: what their score, likelihood ratio and probability are, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from shortvox.cli.main import run
from shortvox.cli.verify import _told
from shortvox.corpora.corpus import Corpus
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ConfigError
from shortvox.scoring.calibrationfile import nearest_fit
from shortvox.verification.compare import calibration_of, compare

FITS = {
    "protocols": {
        "full-short": {"1": {"scale": 10.0, "offset": -3.0}, "full": {"scale": 20.0, "offset": -5.0}},
        "short-short": {"1": {"scale": 8.0, "offset": -2.0}, "2": {"scale": 9.0, "offset": -2.5}},
    }
}


def spectrum(waveforms: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.abs(np.fft.rfft(one, 512))[1:65] for one in waveforms])


def encoder(calibration: object = FITS) -> Encoder:
    return Encoder("a", "b", "here", 64, "f", 160, spectrum, calibration=calibration)  # type: ignore[arg-type]


def paths(corpus: Corpus, *positions: int) -> list[Path]:
    return [corpus.utterances[position].path for position in positions]


def test_a_score_is_a_cosine_and_means_something(corpus: Corpus) -> None:
    found = compare(encoder(), paths(corpus, 0), paths(corpus, 1), prior=0.1)
    heard = encoder().embed([*_read(corpus, 0), *_read(corpus, 1)])
    assert found.score == pytest.approx(float(heard[0] @ heard[1]), abs=1e-6)
    assert found.seconds == pytest.approx([len(one[0]) / 16_000 for one in (_read(corpus, 0), _read(corpus, 1))])
    assert found.calibration is not None and found.llr is not None
    fit = FITS["protocols"][found.calibration[0]][found.calibration[1]]
    assert found.llr == pytest.approx(fit["scale"] * found.score + fit["offset"])
    odds = math.exp(found.llr) * 0.1 / 0.9
    assert found.probability == pytest.approx(odds / (1 + odds))


def _read(corpus: Corpus, position: int) -> list[np.ndarray]:
    from shortvox.corpora.speech import SpeechData

    return [SpeechData.open(corpus).store.read(position)]


def test_several_of_a_side_are_one_by_their_mean(corpus: Corpus) -> None:
    found = compare(encoder(), paths(corpus, 0, 1, 2), paths(corpus, 3, 4))
    heard = encoder().embed([_read(corpus, position)[0] for position in range(5)])
    sides = [side.mean(axis=0) / np.linalg.norm(side.mean(axis=0)) for side in (heard[:3], heard[3:])]
    assert found.score == pytest.approx(float(sides[0] @ sides[1]), abs=1e-6)
    assert found.seconds[0] == pytest.approx(sum(len(_read(corpus, position)[0]) for position in range(3)) / 16_000)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((1.0, 1.0), ("short-short", "1")),
        ((1.9, 1.0), ("short-short", "1")),
        ((2.0, 1.9), ("short-short", "2")),
        ((10.0, 1.2), ("full-short", "1")),
        ((0.4, 10.0), ("full-short", "1")),
        ((200.0, 30.0), ("full-short", "full")),
    ],
)
def test_the_calibration_is_that_for_so_much_speech(seconds: tuple[float, float], expected: tuple[str, str]) -> None:
    protocol, length = calibration_of(seconds)
    found = nearest_fit(FITS, protocol, length)
    assert found is not None
    assert (protocol, found[0]) == expected


def test_without_a_calibration_a_score_stays_a_score(corpus: Corpus) -> None:
    for none in (None, FITS | {"scoring": "as-norm1-0123"}, {"protocols": {}}):
        found = compare(encoder(none), paths(corpus, 0), paths(corpus, 1))
        assert (found.llr, found.probability, found.calibration) == (None, None, None)
        assert -1 <= found.score <= 1


def test_a_likelihood_ratio_of_any_size_gives_a_probability(corpus: Corpus) -> None:
    for scale, expected in ((1e9, 1.0), (-1e9, 0.0)):
        fits = {"protocols": {name: {"1": {"scale": scale, "offset": 0.0}} for name in FITS["protocols"]}}
        assert compare(encoder(fits), paths(corpus, 0), paths(corpus, 1)).probability == expected


def test_less_speech_than_was_calibrated_is_told(corpus: Corpus) -> None:
    fit = {"scale": 10.0, "offset": -1.0, "p_target": 0.05}
    for shortest, stretched in (("0.3", False), ("30", True)):
        fits = {"full": fit, shortest: fit, "50": fit}
        calibrated = encoder({"protocols": {"full-short": fits, "short-short": fits}})
        assert compare(calibrated, paths(corpus, 0), paths(corpus, 1)).stretched == stretched
    whole = {"full-short": {"full": fit}, "short-short": {"full": fit}}
    assert not compare(encoder({"protocols": whole}), paths(corpus, 0), paths(corpus, 1)).stretched


@pytest.mark.parametrize(("probability", "told"), [(0.99999, ">0.9999"), (0.5, "0.5000"), (0.00001, "<0.0001")])
def test_nothing_is_certain(probability: float, told: str) -> None:
    assert _told(probability) == told


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_a_prior_is_a_probability(corpus: Corpus, prior: float) -> None:
    with pytest.raises(ConfigError, match=r"prior .*: expected a probability above 0 and below 1"):
        compare(encoder(), paths(corpus, 0), paths(corpus, 1), prior)


def test_the_command_says_it_as_json_and_in_words(
    exported: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(path) for path in paths(corpus, 0, 1, 4)]
    command = ["verify", "--model", str(exported), *files]
    assert run([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected = compare(open_encoder(exported), paths(corpus, 0, 1), paths(corpus, 4))
    assert said["score"] == expected.score
    assert (said["llr"], said["probability"], said["prior"]) == (expected.llr, expected.probability, 0.5)
    assert said["seconds"] == dict(zip(("enrolment", "test"), expected.seconds, strict=True))
    assert said["calibration"].keys() == {"protocol", "length"}
    assert (said["encoder"], said["fingerprint"]) == ("model", open_encoder(exported).fingerprint)
    assert run(["verify", "--model", str(exported), *files[:1], "--test", files[1], "--test", files[2]]) == 0
    shown = capsys.readouterr().out
    two = compare(open_encoder(exported), paths(corpus, 0), paths(corpus, 1, 4))
    assert f"{two.score:.3f}" in shown and f"{two.llr:+.2f}" in shown and _told(two.probability or 0) in shown


def test_a_mistake_is_one_line(
    exported: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    one, other = (str(path) for path in paths(corpus, 0, 1))
    for files, told in (
        ([one], "verify: one recording"),
        ([one, str(tmp_path / "none.wav")], "none.wav"),
        ([one, str(tmp_path / "text.wav")], "text.wav"),
        ([one, str(tmp_path)], str(tmp_path)),
        ([one, one, other], "given twice"),
        ([one, other, "--prior", "1"], "prior 1"),
        ([one, other, "--model", "nowhere"], "nowhere: no encoder; expected a model folder"),
    ):
        assert run(["verify", "--model", str(exported), *files]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert told in line
