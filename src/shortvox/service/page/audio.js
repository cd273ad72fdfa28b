// The microphone as 16 kHz samples, files as samples to look at, and samples as a WAV file.
import { RATE, Resampler } from "./resample.js";

// Calls `heard` with each block of 16 kHz samples; `stop()` gives all of them.
export class Recording {
  static async begin(heard) {
    if (!navigator.mediaDevices) throw new Error("no microphone here: browsers give one to https pages and localhost only");
    let stream;
    try {
      // What browsers do for telephony changes a voice.
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(`the microphone cannot be used (${error.message})`);
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule("/page/capture.js");
    return new Recording(stream, context, heard);
  }

  constructor(stream, context, heard) {
    this.stream = stream;
    this.context = context;
    this.heard = heard;
    this.blocks = [];
    this.resampler = new Resampler(context.sampleRate);
    this.node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.take(this.resampler.push(data));
    context.createMediaStreamSource(stream).connect(this.node);
  }

  take(block) {
    this.blocks.push(block);
    this.heard(block);
  }

  async stop() {
    this.node.port.onmessage = null;
    this.take(this.resampler.finish());
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
    return joined(this.blocks);
  }
}

export function joined(blocks) {
  const all = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
  }
  return all;
}

export function pcm16(samples) {
  const found = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) found[i] = Math.round(Math.max(-1, Math.min(1, samples[i])) * 32767);
  return found;
}

export function wav(samples) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true);
  head.setUint32(24, RATE, true);
  head.setUint32(28, 2 * RATE, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, 2 * samples.length, true);
  return new Blob([head, pcm16(samples)], { type: "audio/wav" });
}

// Samples of a file, to draw them; null where the browser cannot read what the service perhaps can.
export async function decoded(file) {
  try {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    return audio.getChannelData(0);
  } catch {
    return null;
  }
}
