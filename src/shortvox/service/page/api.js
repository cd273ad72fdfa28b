// The service: requests with the key, errors as exceptions with the service's own line.

export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ?? `the service answered ${status}`);
    this.status = status;
    this.answer = answer;
  }
}

export const key = {
  get: () => sessionStorage.getItem("key") ?? "",
  set: (value) => sessionStorage.setItem("key", value),
};

export async function ask(method, path, body) {
  const headers = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
  let response;
  try {
    response = await fetch(path, { method, body, headers, cache: "no-store" });
  } catch {
    throw new Error("the service does not answer");
  }
  if (response.status === 204) return null;
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  if (!response.ok) throw new Refused(response.status, isJson ? await response.json() : {});
  return isJson ? response.json() : response.text();
}

export function form(uploads, fields = {}) {
  const found = new FormData();
  for (const [name, files] of Object.entries(uploads)) for (const file of files) found.append(name, file, "recording");
  for (const [name, value] of Object.entries(fields)) found.append(name, value);
  return found;
}

// A stream of samples about one speaker. `told` gets every decision; the promise `over` the last message.
export class Stream {
  constructor(speaker, told) {
    const protocols = ["shortvox"];
    if (key.get()) protocols.push(`key.${btoa(key.get()).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")}`);
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`, protocols);
    this.waiting = [];
    this.over = new Promise((resolve) => {
      let last = { error: "the connection was lost" };
      this.socket.onopen = () => {
        this.socket.send(JSON.stringify({ type: "start", speaker }));
        for (const each of this.waiting.splice(0)) this.socket.send(each);
      };
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "decision") told(message);
        if (message.done || message.error) last = message;
      };
      this.socket.onclose = () => resolve(last);
    });
  }

  send(content) {
    if (this.socket.readyState === WebSocket.CONNECTING) this.waiting.push(content);
    else if (this.socket.readyState === WebSocket.OPEN) this.socket.send(content);
  }

  stop() {
    this.send(JSON.stringify({ type: "stop" }));
    return this.over;
  }
}
