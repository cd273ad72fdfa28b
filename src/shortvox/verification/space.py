"""Which embeddings may be compared, and which figures were fitted for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

RULE = "cosine of mean 1"  # how two sides become a score; another rule, or a change of this one, is another space


@dataclass(frozen=True, slots=True)
class Space:
    """What a voiceprint was made with. Two of one space can be compared, and their scores mean the same.

    `encoder` is the encoder's fingerprint (network and front end), `detector` what finds the speech, `calibration` the
    digest of the map from scores to likelihood ratios, `rule` how two sides become a score.
    """

    encoder: str
    detector: str
    calibration: str
    rule: str = RULE

    @property
    def key(self) -> str:
        """16 hexadecimal digits, the same for the same space everywhere."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def differs(self, other: Space) -> tuple[str, ...]:
        """Names of what is not the same in both."""
        mine, theirs = asdict(self), asdict(other)
        return tuple(name for name in mine if mine[name] != theirs[name])
