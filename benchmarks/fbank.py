"""Log-mel features of 96 crops of 2 s against kaldi-native-fbank, one CPU thread."""

from __future__ import annotations

import kaldi_native_fbank as knf
import torch
from timing import ratio

from shortvox.frontend.fbank import Fbank
from shortvox.memory import tune_memory


def main() -> None:
    tune_memory()
    torch.set_num_threads(1)
    waveforms = 0.1 * torch.randn(96, 32000)
    fbank = Fbank()
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 80
    scaled = (waveforms * 32768).numpy()

    def peer() -> None:
        for row in scaled:
            online = knf.OnlineFbank(options)
            online.accept_waveform(16000, row)
            online.input_finished()
            for frame in range(online.num_frames_ready):
                online.get_frame(frame)

    print(f"96 x 2 s: {ratio(lambda: fbank(waveforms), peer):.2f} x the speed of kaldi-native-fbank")


if __name__ == "__main__":
    main()
