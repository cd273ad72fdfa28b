"""Room impulse responses by the image method, for users without a folder of measured ones."""

from __future__ import annotations

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE


def simulated_rooms(count: int, *, seed: int) -> list[np.ndarray]:
    """`count` impulse responses (samples,) of shoebox rooms of 3–8 x 3–8 x 2.5–4 m, absorption 0.25–0.7.

    Image method (Allen and Berkley, 1979) as implemented in pyroomacoustics, on one thread so that sums repeat.
    """
    import pyroomacoustics as pra  # slow to import, and only needed here

    pra.constants.set("num_threads", 1)
    rng = np.random.default_rng((seed, 5))
    responses = []
    for _ in range(count):
        size = rng.uniform([3.0, 3.0, 2.5], [8.0, 8.0, 4.0])
        absorption = rng.uniform(0.25, 0.7)
        room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=8)
        source, microphone = rng.uniform(0.5, size - 0.5, size=(2, 3))
        room.add_source(source)
        room.add_microphone(microphone)
        room.compute_rir()
        responses.append(np.asarray(room.rir[0][0], dtype=np.float32))
    return responses
