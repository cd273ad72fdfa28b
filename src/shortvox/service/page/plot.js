// Two pictures, in SVG: a waveform with its speech marked, and evidence between its two lines.

const HIGHEST = 12; // |llr| that is drawn

export function element(name, attributes = {}, ...children) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

function picture(width, height, label) {
  return element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

// samples: Float32Array at 16 kHz, or null; seconds: how long; segments: [[start, stop], …] in seconds.
export function waveform(where, samples, seconds, segments) {
  const [width, height] = [where.clientWidth || 640, 90];
  const speech = segments.reduce((sum, [start, stop]) => sum + stop - start, 0);
  const svg = picture(width, height, `${seconds.toFixed(1)} seconds, ${speech.toFixed(1)} of them speech`);
  const x = (second) => (width * second) / Math.max(seconds, 0.01);
  for (const [start, stop] of segments) {
    svg.append(element("rect", { class: "speech", x: x(start), y: 0, width: Math.max(x(stop) - x(start), 1), height }));
  }
  svg.append(element("line", { class: "axis", x1: 0, x2: width, y1: height / 2, y2: height / 2 }));
  if (samples?.length) {
    let peak = 0.05;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    const path = [];
    for (let column = 0; column < width; column++) {
      const from = Math.floor((column * samples.length) / width);
      const to = Math.max(Math.floor(((column + 1) * samples.length) / width), from + 1);
      let low = 1;
      let high = -1;
      for (let i = from; i < to && i < samples.length; i++) {
        low = Math.min(low, samples[i]);
        high = Math.max(high, samples[i]);
      }
      const y = (value) => (height / 2) * (1 - (0.95 * value) / peak);
      path.push(`M${column + 0.5} ${y(high).toFixed(1)}V${(y(low) + 0.5).toFixed(1)}`);
    }
    svg.append(element("path", { class: "wave", d: path.join("") }));
  }
  where.replaceChildren(svg);
}

// points: decisions with llr, accept, reject and net_speech, in their order.
export function evidence(where, points, longest) {
  const [width, height, left, right, foot] = [where.clientWidth || 640, 180, 34, 56, 22];
  const end = Math.max(longest, ...points.map((point) => point.net_speech), 0.5);
  const last = points.at(-1);
  const told = last ? `evidence ${last.llr.toFixed(1)} after ${last.net_speech.toFixed(1)} seconds of speech` : "no evidence yet";
  const svg = picture(width, height, told);
  const x = (second) => left + ((width - left - right) * second) / end;
  const y = (llr) => 6 + (height - foot - 6) * (0.5 - Math.max(-HIGHEST, Math.min(HIGHEST, llr)) / (2 * HIGHEST));
  for (const llr of [-10, -5, 0, 5, 10]) {
    svg.append(element("line", { class: "axis", x1: left, x2: width - right, y1: y(llr), y2: y(llr) }));
    svg.append(element("text", { x: left - 5, y: y(llr) + 4, "text-anchor": "end" }, String(llr).replace("-", "−")));
  }
  const unit = end > 2 ? 1 : 0.5;
  for (let second = 0; second <= end; second += unit) {
    svg.append(element("text", { x: x(second), y: height - 5, "text-anchor": "middle" }, `${second} s`));
  }
  for (const [line, word, beside] of [["accept", "same", -3], ["reject", "another", 11]]) {
    if (!last) continue;
    const path = [`M${left} ${y(points[0][line])}`];
    for (const point of points) path.push(`H${x(point.net_speech)}V${y(point[line])}`);
    svg.append(element("path", { class: line, d: `${path.join("")}H${width - right}` }));
    svg.append(element("text", { x: width - right + 4, y: y(last[line]) + beside }, word));
  }
  const d = points.map((point, at) => `${at ? "L" : "M"}${x(point.net_speech)} ${y(point.llr)}`).join("");
  svg.append(element("path", { class: "llr", d: d || "M0 0" }));
  for (const point of points) svg.append(element("circle", { class: "dot", cx: x(point.net_speech), cy: y(point.llr), r: 4 }));
  where.replaceChildren(svg);
}
