"""Recorded voices: packages in, two corpora out. Fetch, verify, decode, trim, check purity, join, write."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from shortvox.corpora import audio
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.demo import purity
from shortvox.demo.clips import Clip, join, trim, write_flac
from shortvox.demo.fetch import Recording, Unavailable, fetch, licence_of, sort_files, unpack
from shortvox.demo.packages import Package
from shortvox.errors import AudioError
from shortvox.files import write_bytes
from shortvox.progress import progress_bar

SPLITS = ("train", "test")
TRAIN_SECONDS = 240.0  # of one training speaker: no single voice may dominate
TEST_UTTERANCES = 20  # of one test speaker and session
LEAST_TEST_UTTERANCES = 4
LEAST_TRAIN_SECONDS = 12.0  # two utterances
_JUDGED_CLIPS = 150  # of one label: enough for the purity check


Take = tuple[Recording, Clip]


@dataclass(frozen=True)
class Licence:
    package: str
    version: str
    licence: str
    file: str
    speakers: list[str]


@dataclass(frozen=True)
class Recorded:
    licences: tuple[Licence, ...]
    notes: tuple[str, ...]


def build(store: Path, out: Path, *, seed: int, least_speakers: int) -> Recorded:
    """Fill `out/train`, `out/test` and `out/licences`; downloads are kept in `store`.

    Raises Unavailable without apt, without network, or with fewer than `least_speakers` speakers on a side.
    """
    notes: list[str] = []
    archives = fetch(store, notes)
    unpacked = store / "unpacked"
    try:
        roots = unpack(store, unpacked, archives, notes)
        speakers = sort_files(roots, notes)
        _require(
            {split: sum(files[0].package.split == split for files in speakers.values()) for split in SPLITS},
            least_speakers,
            notes,
        )
        rows = _convert(speakers, out, seed, notes)
        _require({split: len({u.speaker for u in rows[split]}) for split in SPLITS}, least_speakers, notes)
        for split in SPLITS:
            write_manifest(out / split, rows[split])
        written = _speakers_by_package([*rows["train"], *rows["test"]])
        licences = tuple(
            _keep_licence(package, archives[package.name].version, root, out, written)
            for package, root in roots.items()
        )
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return Recorded(licences, (*notes, PURITY, *CAVEATS))


def _require(found: Mapping[str, int], least: int, notes: list[str]) -> None:
    for split in SPLITS:
        if found[split] < least:
            raise Unavailable(f"{found[split]} {split} speakers arrived, {least} are needed ({' '.join(notes)})")


PURITY = (
    "The purity check of training labels needs no model: Ashman's D of a two-way split of a label's clips (cepstra "
    f"and pitch, in the directions that tell labels apart) below {purity.LIMIT}, and the middle half of clips within "
    f"{purity.PITCH_SPREAD} octaves of pitch. It finds about 7 of 10 half-and-half mixtures of two labels of one "
    "package (1 in 10 where both are professionals of one kind), and blames 4 % of draws from one-person recordings. "
    "Test voices are credited to one person each and are not checked, so that they select nothing."
)
CAVEATS = (
    "These are a few dozen people, each recorded in one place with one microphone for one package: language, channel "
    "and person go together, so error rates say how systems compare here, not how any would do elsewhere.",
    "Impostors of the same package family (same kind of recording) are the honest comparison; impostors of another "
    "family are partly told apart by channel and format.",
    "With so few test speakers, intervals are indicative and no difference is called significant.",
    "Nobody certified the labels: one person may speak under two labels of the training packages, and a label may "
    "still hold two people who sound alike. Whether a volunteer of the training packages is also a test voice is "
    "not known; none is credited as such.",
    "Utterances are single words and prompts in random order, joined: test crops hear several clips, not one sentence.",
)


def _convert(
    speakers: Mapping[str, list[Recording]], out: Path, seed: int, notes: list[str]
) -> dict[str, list[Utterance]]:
    """Write the recordings of both corpora. Returns their rows."""
    rows: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    dropped: Counter[str] = Counter()
    unreadable: list[str] = []
    voices: dict[str, list[Take]] = {}
    with progress_bar() as bar, ThreadPoolExecutor(2) as pool:
        task = bar.add_task("demo voices: decode and trim", total=len(speakers), note="")
        for speaker, files in sorted(speakers.items()):
            bar.update(task, note=speaker)
            voices[speaker] = _decode(speaker, files, seed, pool, dropped, unreadable)
            bar.advance(task)
        bar.update(task, note="")
        judged = _judge(voices, pool, notes, bar)
        task = bar.add_task("demo voices: join and write", total=len(judged), note="")
        for speaker, own in sorted(judged.items()):
            split = own[0][0].package.split
            rows[split] += _write_speaker(speaker, own, out / split, seed, notes)
            bar.advance(task)
    _count(dropped, unreadable, notes)
    return rows


def _speakers_by_package(utterances: Iterable[Utterance]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for u in utterances:
        found.setdefault(u.column("package"), {})[u.speaker] = None
    return {package: list(speakers) for package, speakers in found.items()}


def _decode(
    speaker: str,
    files: list[Recording],
    seed: int,
    pool: ThreadPoolExecutor,
    dropped: Counter[str],
    unreadable: list[str],
) -> list[Take]:
    """One speaker's trimmed clips in seeded order, as many seconds of each package as will be used, each once."""
    clips: list[Take] = []
    seen: set[bytes] = set()
    rng = np.random.default_rng([seed, *speaker.encode()])
    for package in dict.fromkeys(f.package for f in files):
        own = [f for f in files if f.package is package]
        # Half as much again for training, because the purity check may drop a part.
        wanted = 1.5 * TRAIN_SECONDS if package.split == "train" else 11 * TEST_UTTERANCES
        have = 0.0
        order = [own[i] for i in rng.permutation(len(own))]
        for block in (order[i : i + 32] for i in range(0, len(order), 32)):
            for file, clip in zip(block, pool.map(_read_clip, block), strict=True):
                if isinstance(clip, str):
                    dropped[clip] += 1
                    if clip == "unreadable":
                        unreadable.append(file.path.name)
                    continue
                digest = hashlib.sha256(clip.samples.tobytes()).digest()
                if digest in seen:
                    dropped["a copy of another"] += 1
                    continue
                seen.add(digest)
                clips.append((file, clip))
                have += len(clip.samples) / SAMPLE_RATE
            if have >= wanted:
                break
    return clips


def _read_clip(file: Recording) -> Clip | str:
    """The trimmed clip, or why there is none."""
    try:
        rate = audio.probe(file.path).rate
        samples = trim(audio.read_audio(file.path))
    except AudioError as error:
        return "silent" if "silent" in str(error) else "unreadable"
    if not len(samples):
        return "silent or shorter than 0.25 s"
    return Clip(file.path.name, samples, (file.package.name, "8k" if rate <= 8000 else "16k"))


def _judge(
    voices: Mapping[str, list[Take]], pool: ThreadPoolExecutor, notes: list[str], bar: Progress
) -> dict[str, list[Take]]:
    """Training labels that pass the purity check, whole or in part; test voices are credited to one person each."""
    task = bar.add_task("demo voices: purity check", total=len(voices), note="")
    features: dict[str, np.ndarray] = {}
    usable: dict[str, list[Take]] = {}
    for speaker, own in sorted(voices.items()):
        if own and own[0][0].package.split == "train":
            described = list(pool.map(lambda pair: purity.describe(pair[1].samples), own[:_JUDGED_CLIPS]))
            kept = [i for i, d in enumerate(described) if d is not None]
            features[speaker] = np.array([described[i] for i in kept]).reshape(len(kept), -1)
            usable[speaker] = [own[i] for i in kept]
        bar.advance(task)
    passed = {s: own for s, own in voices.items() if own and own[0][0].package.split == "test"}
    enough = {s: f for s, f in features.items() if len(f) >= purity.LEAST_CLIPS}
    if len(enough) < 2:
        return passed
    projection = purity.discriminant(enough)
    few: list[str] = []
    for speaker, own_features in features.items():
        verdict = purity.judge(own_features, projection)
        if verdict.passed and len(own_features):
            passed[speaker] = voices[speaker]
        elif verdict.keep.any():
            passed[speaker] = [pair for pair, keep in zip(usable[speaker], verdict.keep, strict=True) if keep]
            notes.append(f"{speaker}: fails the purity check, its smaller part is dropped ({verdict.figures}).")
        elif len(own_features) < purity.LEAST_CLIPS:
            few.append(f"{speaker} ({len(own_features)})")
        else:
            notes.append(f"{speaker}: dropped, fails the purity check ({verdict.figures}).")
    if few:
        notes.append(f"Too few usable clips for a purity check (20 are needed), so dropped: {', '.join(few)}.")
    return passed


def _write_speaker(speaker: str, own: list[Take], out: Path, seed: int, notes: list[str]) -> list[Utterance]:
    file, _ = own[0]
    testing = file.package.split == "test"
    rng = np.random.default_rng([seed, 1, *speaker.encode()])
    joined = join([clip for _, clip in own], rng, least=5.5 if testing else 3.0)
    by_package = {f.package.name: f.package for f, _ in own}
    rows: list[Utterance] = []
    sessions: Counter[str] = Counter()
    seconds = 0.0
    limit = TEST_UTTERANCES // len(by_package) if testing else len(joined)
    for samples, clips in joined:
        package, bandwidth = clips[0].group
        if sessions[package] >= limit or (not testing and seconds >= TRAIN_SECONDS):
            continue
        name = f"{speaker}-{len(rows):03d}"
        path = out / speaker / f"{name}.flac"
        write_flac(path, samples)
        sessions[package] += 1
        seconds += len(samples) / SAMPLE_RATE
        rows.append(
            Utterance(
                name,
                speaker,
                path,
                package,
                round(len(samples) / SAMPLE_RATE, 3),
                file.gender,
                extra=(
                    ("family", by_package[package].family),
                    ("package", package),
                    ("bandwidth", bandwidth),
                    ("clips", str(len(clips))),
                ),
            )
        )
    enough = len(rows) >= LEAST_TEST_UTTERANCES if testing else len(rows) >= 2 and seconds >= LEAST_TRAIN_SECONDS
    if enough:
        return rows
    shutil.rmtree(out / speaker, ignore_errors=True)
    notes.append(f"{speaker}: dropped, only {seconds:.1f} s of speech in {len(rows)} utterances.")
    return []


def _count(dropped: Counter[str], unreadable: list[str], notes: list[str]) -> None:
    if dropped:
        notes.append("Clips left out: " + ", ".join(f"{n} {why}" for why, n in sorted(dropped.items())) + ".")
    if unreadable:
        notes.append(f"Unreadable: {', '.join(sorted(unreadable)[:10])}{', …' if len(unreadable) > 10 else ''}.")


def _keep_licence(package: Package, version: str, root: Path, out: Path, written: Mapping[str, list[str]]) -> Licence:
    name = f"licences/{package.name}.txt"
    write_bytes(out / name, licence_of(package, root).read_bytes())
    return Licence(package.name, version, package.licence, name, written.get(package.name, []))
