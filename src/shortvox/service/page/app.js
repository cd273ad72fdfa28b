// The page: listens, enrols, lists voices. What is said of a voice is the service's; nothing is decided here.
import { Recording, decoded, pcm16, wav } from "./audio.js";
import { Refused, Stream, ask, form, key } from "./api.js";
import { evidence, waveform } from "./plot.js";
import { RATE } from "./resample.js";

const at = (id) => document.getElementById(id);
const LONGEST_TAKE = 15; // seconds
const GIVE_UP = 4; // seconds of speech
const ANYBODY = "";
const HERE = "\n"; // no name has a line end

const OUTCOMES = {
  SAME: ["same", "The same voice"],
  DIFFERENT: ["different", "Another voice"],
  TOO_LITTLE_SPEECH: ["little", "Not decided"],
};

let service = null;
let sentences = []; // { file, seconds } that enrol, kept in this page until they are sent
let active = null; // what is recorded just now

function say(line) {
  at("said").textContent = line;
}

// Runs a step that a person asked for; what goes wrong is said in one line.
async function attempt(step) {
  say("");
  try {
    return await step();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) at("key-form").hidden = false;
    say(error.message);
    return undefined;
  }
}

// A button that starts a recording and ends it. `begin` gives what hears blocks, `end` gets all samples.
function recorder(button, idle, begin, end) {
  async function stop() {
    const { recording, state } = active;
    active = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = idle;
    at("level").hidden = true;
    await attempt(async () => end(await recording.stop(), state));
  }
  button.addEventListener("click", () =>
    attempt(async () => {
      if (active?.button === button) return stop();
      if (active) throw new Error("a recording runs already");
      const mine = { button, state: null, recording: null };
      active = mine;
      try {
        let heard = 0;
        mine.recording = await Recording.begin((block) => {
          heard += block.length;
          at("level").value = Math.min(1, 3 * block.reduce((peak, one) => Math.max(peak, Math.abs(one)), 0));
          mine.state?.hear?.(block);
          if (heard > LONGEST_TAKE * RATE && active === mine) stop();
        });
        mine.state = begin(() => active === mine && stop());
      } catch (error) {
        active = null;
        throw error;
      }
      button.setAttribute("aria-pressed", "true");
      button.textContent = "Stop";
      at("level").hidden = false;
    }),
  );
}

function dropped(label, input, take) {
  const one = (files) => files.length && attempt(() => take([...files]));
  input.addEventListener("change", () => {
    one(input.files);
    input.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    label.addEventListener(kind, (event) => {
      event.preventDefault();
      label.classList.toggle("over", kind === "dragover");
      if (kind === "drop") one(event.dataTransfer.files);
    });
  }
}

// Who is this?

recorder(at("listen"), "Speak", beginListening, async (samples, { stream, points }) => {
  const told = stream ? await stream.stop() : null;
  if (told?.error) throw new Error(told.error);
  await judge(wav(samples), samples, told, points);
});

function beginListening(stop) {
  const who = at("who").value;
  at("result").hidden = true;
  if (who === ANYBODY || who === HERE) return {};
  const points = [];
  const stream = new Stream(who, (decision) => {
    if (decision.llr !== null && decision.net_speech !== points.at(-1)?.net_speech) points.push(decision);
    at("result").hidden = false;
    showDecision(decision, points);
  });
  stream.over.then(stop);
  return { stream, points, hear: (block) => stream.send(pcm16(block)) };
}

async function judge(file, samples, told = null, points = []) {
  const who = at("who").value;
  let answer;
  if (who === ANYBODY) answer = await ask("POST", "/v1/identify", form({ test: [file] }));
  else if (who === HERE) answer = await ask("POST", "/v1/verify", form({ enrolment: sentences.map((one) => one.file), test: [file] }));
  else answer = await ask("POST", "/v1/verify", form({ test: [file] }, { speaker: who }));
  if (answer.side) throw new Error(`${answer.text}; ${answer.advice}`);
  at("result").hidden = false;
  waveform(at("wave"), samples, answer.seconds, answer.segments);
  if (who === ANYBODY) showIdentification(answer);
  else if (told) showDecision(told, points);
  else showDecision(answer, answer.llr === null ? [] : [answer]);
  await listSpeakers();
}

function showDecision(decision, points) {
  const [kind, words] = OUTCOMES[decision.outcome];
  const listens = decision.reason === "listening" || (decision.type === "decision" && !decision.done);
  show(kind, listens ? "Listening …" : words);
  at("why").textContent = listens ? "" : decision.advice ? told([decision.advice]) : reasonOf(decision);
  figures(decision);
  at("candidates").replaceChildren();
  at("evidence-figure").hidden = points.length === 0;
  if (points.length) evidence(at("evidence"), points, decision.type === "decision" ? GIVE_UP : 0);
}

function showIdentification(found) {
  const { decision, refusal } = found;
  if (found.name !== null) show("same", found.name);
  else if (refusal || found.reason === "undecided") show("little", "Not decided");
  else show("different", found.reason === "empty" ? "Nobody is enrolled yet" : "Nobody who is enrolled");
  at("why").textContent = told(refusal ? [refusal.text, refusal.advice] : decision?.advice ? [decision.advice] : []);
  figures(decision ?? { net_speech: refusal?.net_speech ?? null });
  const points = decision && decision.llr !== null ? [decision] : [];
  at("evidence-figure").hidden = points.length === 0;
  if (points.length) evidence(at("evidence"), points, 0);
  at("candidates").replaceChildren(...found.candidates.map((one) => item("li", `${one.name}: evidence ${one.llr.toFixed(1)}`)));
}

function show(kind, words) {
  at("outcome").className = `outcome ${kind}`;
  if (at("outcome").textContent !== words) at("outcome").textContent = words; // said aloud when it changes
}

function reasonOf({ outcome, llr, accept, reject }) {
  if (llr === null) return "";
  if (outcome === "SAME") return `The evidence, ${llr.toFixed(1)}, is above the line for the same voice, ${accept.toFixed(1)}.`;
  return `The evidence, ${llr.toFixed(1)}, is below the line for another voice, ${reject.toFixed(1)}.`;
}

function figures(decision) {
  const rows = [
    ["speech", decision.net_speech, (value) => `${value.toFixed(2)} s`],
    ["evidence (LLR)", decision.llr, (value) => value.toFixed(2)],
    ["probability", decision.probability, (value) => (value > 0.9999 ? "> 0.9999" : value < 0.0001 ? "< 0.0001" : value.toFixed(4))],
    ["cosine", decision.score, (value) => value.toFixed(3)],
    ["true speakers missed at this length", decision.expected_error, (value) => `${(100 * value).toFixed(1)} %`],
    ["speech for both error rates", decision.needed_seconds, (value) => `${value.toFixed(1)} s`],
  ];
  const shown = rows.filter(([, value]) => value !== null && value !== undefined);
  at("figures").replaceChildren(
    ...shown.map(([name, value, form]) => {
      const row = document.createElement("div");
      row.append(item("dt", name), item("dd", form(value)));
      return row;
    }),
  );
  if (decision.warnings?.length) at("why").append(` ${told(decision.warnings)}`);
}

dropped(at("test-drop"), at("test-file"), async ([file]) => judge(file, await decoded(file)));

// Enrol

recorder(at("enrol"), "Record a sentence", () => ({}), (samples) => addSentences([{ file: wav(samples), seconds: samples.length / RATE }]));
dropped(at("enrol-drop"), at("enrol-file"), (files) => addSentences(files.map((file) => ({ file, name: file.name }))));

async function addSentences(more) {
  sentences = [...sentences, ...more];
  listSentences();
  await lookAtSentences();
}

async function lookAtSentences() {
  at("progress").hidden = sentences.length === 0;
  at("keep").disabled = true;
  if (!sentences.length) return;
  const found = await ask("POST", "/v1/enrol", form({ enrolment: sentences.map((one) => one.file) }));
  if (found.reason) {
    at("advice").textContent = told([found.text, found.advice]);
    return;
  }
  at("percent").value = found.percent;
  at("percent-told").textContent = `${found.percent} % (${found.net_speech.toFixed(1)} s of speech)`;
  at("advice").textContent = told([found.advice ?? "enough speech", ...found.warnings]);
  at("keep").disabled = !service?.keeps_voices;
}

function listSentences() {
  at("sentences").replaceChildren(
    ...sentences.map((one, place) => {
      const row = item("li", one.name ?? `${one.seconds.toFixed(1)} s recorded`);
      row.append(
        button("Leave out", `Leave out recording ${place + 1}`, () => {
          sentences = sentences.filter((other) => other !== one);
          listSentences();
          return lookAtSentences();
        }),
      );
      return row;
    }),
  );
  at("discard").disabled = sentences.length === 0;
  listChoices();
}

function discard() {
  sentences = [];
  listSentences();
  at("progress").hidden = true;
  at("keep").disabled = true;
}

at("discard").addEventListener("click", discard);
at("keep-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const name = at("name").value;
    const uploads = form({ enrolment: sentences.map((one) => one.file) }, { consent: at("consent").value });
    const kept = await ask("POST", `/v1/speakers/${encodeURIComponent(name)}`, uploads);
    discard();
    at("name").value = at("consent").value = "";
    await listSpeakers();
    at("who").value = kept.name;
    say(`${kept.name} is enrolled, ${kept.percent} % of what is needed.`);
  });
});

// Voices

let names = [];

async function listSpeakers() {
  if (!service.keeps_voices) {
    at("no-speakers").hidden = false;
    at("no-speakers").textContent = "This service keeps no voices; start it with --gallery FILE. Recordings above can be compared all the same.";
    return listChoices();
  }
  const { speakers } = await ask("GET", "/v1/speakers");
  names = speakers.map((one) => one.name);
  at("no-speakers").hidden = names.length > 0;
  at("no-speakers").textContent = "Nobody yet.";
  at("speakers").replaceChildren(...speakers.map(rowOf));
  return listChoices();
}

function rowOf(one) {
  const row = document.createElement("tr");
  const percent = one.percent === null ? "" : `, ${one.percent} %`;
  row.append(
    item("td", one.name),
    item("td", one.state),
    item("td", `${one.net_speech.toFixed(1)} s${percent}`),
    item("td", one.enrolled_at.slice(0, 10)),
    item("td", one.closest === null ? "–" : one.closest.toFixed(1)),
  );
  const cell = document.createElement("td");
  cell.append(
    button("Remove", `Remove ${one.name}`, async () => {
      if (!confirm(`Remove every trace of ${one.name}?`)) return;
      await ask("DELETE", `/v1/speakers/${encodeURIComponent(one.name)}`);
      await listSpeakers();
      say(`${one.name} is removed.`);
    }),
  );
  row.append(cell);
  return row;
}

function listChoices() {
  const chosen = at("who").value;
  const choices = [];
  if (service?.keeps_voices) choices.push([ANYBODY, "everybody who is enrolled"], ...names.map((name) => [name, name]));
  if (sentences.length || !service?.keeps_voices) choices.push([HERE, "the recordings to enrol below"]);
  at("who").replaceChildren(...choices.map(([value, words]) => new Option(words, value)));
  if (choices.some(([value]) => value === chosen)) at("who").value = chosen;
}

// Everything

// The service's lines as sentences.
function told(lines) {
  return lines.map((line) => `${line[0].toUpperCase()}${line.slice(1).replace(/[.?]?$/, (end) => end || ".")}`).join(" ");
}

function item(name, words) {
  const found = document.createElement(name);
  found.textContent = words;
  return found;
}

function button(words, label, press) {
  const found = item("button", words);
  found.type = "button";
  found.setAttribute("aria-label", label);
  found.addEventListener("click", () => attempt(press));
  return found;
}

async function start() {
  service = await ask("GET", "/v1/service");
  at("key-form").hidden = true;
  at("about").textContent = `Who speaks, from a second of speech. Version ${service.version}, model ${service.model}.`;
  await listSpeakers();
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(at("key").value);
  at("key").value = "";
  attempt(start);
});
attempt(start);
