from __future__ import annotations

import pytest

from shortvox.demo.packages import PACKAGES

BY_NAME = {package.name: package for package in PACKAGES}
STAMPS, FISH, PROMPTS = "tuxpaint-stamps-default", "fillets-ng-data-nl", "asterisk-core-sounds-es-g722"


@pytest.mark.parametrize(
    ("package", "path", "speaker"),
    [
        (STAMPS, "/usr/share/tuxpaint/stamps/food/fruit/apple_red_desc_fr.ogg", "tuxpaint-fr"),
        (STAMPS, "/usr/share/tuxpaint/stamps/food/fruit/apple_red_desc_da.ogg.ogg", "tuxpaint-da"),
        (STAMPS, "/usr/share/tuxpaint/stamps/food/fruit/apple_red_desc.ogg", "tuxpaint-en"),
        (STAMPS, "/usr/share/tuxpaint/stamps/food/fruit/apple_red.ogg", None),  # a bite
        (STAMPS, "/usr/share/tuxpaint/stamps/food/fruit/apple_red_desc_fr.txt", None),
        (STAMPS, "/usr/share/tuxpaint/stamps/symbols/math/7_en_GB.ogg", "tuxpaint-en_GB"),
        (STAMPS, "/usr/share/tuxpaint/stamps/symbols/math/7_es.ogg", None),  # a child, not the voice of the stamps
        ("ktuberling-data", "/usr/share/ktuberling/sounds/sr@latin/hat.ogg", "ktuberling-sr"),
        ("ktuberling-data", "/usr/share/ktuberling/sounds/nn/hat.opus", "ktuberling-nn"),
        ("klettres-data", "/usr/share/klettres/pt_BR/alpha/a-0.ogg", "klettres-pt_BR"),
        ("klettres-data", "/usr/share/klettres/da/syllab/ad-3.ogg", "klettres-da"),
        (FISH, "/usr/share/games/fillets-ng/sound/city/nl/vit-m-jak.ogg", "fillets-nl-small"),
        (FISH, "/usr/share/games/fillets-ng/sound/share/borejokes/nl/ob-v-jit0.ogg", "fillets-nl-big"),
        (FISH, "/usr/share/games/fillets-ng/sound/briefcase/nl/help10.ogg", None),
        ("fillets-ng-data-cs", "/usr/share/games/fillets-ng/sound/city/cs/vit-hs-klid1.ogg", None),  # a side character
        (PROMPTS, "/usr/share/asterisk/sounds/es_MX_f_Allison/digits/7.g722", "allison"),
        (PROMPTS, "/usr/share/asterisk/sounds/es_MX_f_Allison/silence/7.g722", None),
        (PROMPTS, "/usr/share/asterisk/sounds/es_MX_f_Allison/beep.g722", None),
        (PROMPTS, "/usr/share/asterisk/sounds/es_MX_f_Allison/tt-monkeys.g722", None),
        (PROMPTS, "/usr/share/asterisk/sounds/es_MX_f_Allison/tt-monkeysintro.g722", "allison"),
    ],
)
def test_the_speaker_of_a_file(package: str, path: str, speaker: str | None) -> None:
    found = BY_NAME[package].speaker_of(path)
    assert (found[0] if found else None) == speaker


def test_english_and_spanish_prompts_are_one_person_and_sides_do_not_mix() -> None:
    path = "/usr/share/asterisk/sounds/any/hello.g722"
    voices = {p.name: p.speaker_of(path) for p in PACKAGES if p.family == "asterisk"}
    assert voices["asterisk-core-sounds-en-g722"] == voices["asterisk-core-sounds-es-g722"] == ("allison", "f")
    assert len({v for v in voices.values() if v}) == 7
    families = {split: {p.family for p in PACKAGES if p.split == split} for split in ("train", "test")}
    assert not families["train"] & families["test"]
