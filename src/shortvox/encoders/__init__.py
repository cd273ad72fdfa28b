"""Speaker encoders, whoever made them: waveforms -> unit-length embeddings.

`open_encoder(SPEC)` (opening.py) takes a model folder, what `export` made of one, any ONNX graph of a speaker encoder,
or a Python factory. Nothing here imports torch at module level.
"""
