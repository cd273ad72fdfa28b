"""Which Debian packages hold recorded speech, who speaks in which file, and what is no speech at all.

The labels come from the packages' own layout and credits: one person per language folder (stamps, children's games),
one actor per role in the dubbed game (the letter in the file name: m, the small fish; v, the big fish), one named
voice per telephone prompt set. Side characters of the game are left out, because actors lend several of them a
disguised voice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Voice:
    """A rule: files whose path in the package matches `pattern` (its group `label`, if any, completes `speaker`)."""

    speaker: str
    pattern: str
    gender: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """`clips`: how many speech files the surveyed version holds; far fewer mean that something else arrived."""

    name: str
    family: str
    split: str
    licence: str
    clips: int
    voices: tuple[Voice, ...]
    not_speech: str = ""

    def speaker_of(self, path: str) -> tuple[str, str] | None:
        """(speaker, gender) of a file by its path inside the package; None where it is nobody's speech."""
        if PurePosixPath(path).suffix.lower() not in SUFFIXES:
            return None
        if self.not_speech and re.search(self.not_speech, path):
            return None
        for voice in self.voices:
            found = re.search(voice.pattern, path)
            if found:
                label = found.groupdict().get("label") or ""
                return voice.speaker.format(label=label), voice.gender
        return None


SUFFIXES = frozenset([".ogg", ".opus", ".wav", ".g722", ".gsm"])
# Tones, silence, and an effect that is monkeys, not a person.
_PROMPT_EFFECTS = (
    r"/silence/|/(beep|beeperr|(a|de)scending-2tone|tt-monkeys|"
    r"confbridge-(join|leave|begin-glorious-.))\."
)


def _prompts(name: str, speaker: str, gender: str, licence: str, clips: int) -> Package:
    return Package(name, "asterisk", "test", licence, clips, (Voice(speaker, r"/sounds/", gender),), _PROMPT_EFFECTS)


def _fish(language: str, clips: int) -> Package:
    roles = (("m", "small", "f"), ("v", "big", "m"))
    voices = tuple(
        Voice(f"fillets-{language}-{name}", rf"/{language}/[a-z0-9]+-{letter}-[^/]*$", gender)
        for letter, name, gender in roles
    )
    return Package(f"fillets-ng-data-{language}", "fillets", "test", "GPL-2", clips, voices)


PACKAGES: tuple[Package, ...] = (
    Package(
        "tuxpaint-stamps-default",
        "tuxpaint",
        "train",
        "GPL-2",
        7000,
        (
            Voice("tuxpaint-en_GB", r"/symbols/(alphabets|math)/.*_en_GB\.ogg$"),
            Voice("tuxpaint-{label}", r"/stamps/.*_desc_(?P<label>[a-z]{2}(_[A-Z]{2})?)(\.ogg)?\.ogg$"),
            Voice("tuxpaint-en", r"/stamps/.*_desc\.ogg$"),
        ),
    ),
    Package(
        "ktuberling-data",
        "ktuberling",
        "train",
        "GPL-2+",
        1800,
        (
            # One recording lies under several spellings of one language (sr, sr@latin, …).
            Voice("ktuberling-{label}", r"/ktuberling/sounds/(?P<label>[a-z]{2,3}(_[A-Z]{2})?)(@[a-z]+)?/[^/]+$"),
        ),
    ),
    Package(
        "klettres-data",
        "klettres",
        "train",
        "GPL-2+",
        1800,
        (Voice("klettres-{label}", r"/klettres/(?P<label>[a-z]{2,3}(_[A-Z]{2})?)/(alpha|syllab)/[^/]+$"),),
    ),
    _fish("cs", 1300),
    _fish("nl", 1300),
    _prompts("asterisk-core-sounds-en-g722", "allison", "f", "CC-BY-SA-3.0", 560),
    _prompts("asterisk-core-sounds-es-g722", "allison", "f", "CC-BY-SA-3.0", 510),
    _prompts("asterisk-core-sounds-fr-g722", "june", "f", "CC-BY-SA-3.0", 550),
    _prompts("asterisk-core-sounds-it-g722", "carlo", "m", "see its copyright file", 580),
    _prompts("asterisk-core-sounds-ru-g722", "ivrvoice-ru", "f", "CC-BY-3.0", 560),
    _prompts("asterisk-prompt-it-menardi-wav", "menardi", "f", "CC-BY-SA-3.0 (IT)", 540),
    _prompts("asterisk-prompt-fr-armelle", "armelle", "f", "BSD-style", 320),
    _prompts("asterisk-prompt-es-co", "july", "f", "GPL-2", 280),
)
