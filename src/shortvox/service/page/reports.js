// Shows reports of the service's folder. Their scripts, if they had any, would not run: the frame is a sandbox.
import { ask } from "./api.js";

const at = (id) => document.getElementById(id);

async function show() {
  try {
    const name = at("which").value;
    at("report").srcdoc = await ask("GET", `/v1/reports/${name.split("/").map(encodeURIComponent).join("/")}`);
    at("report").title = `Report ${name}`;
    at("report").hidden = false;
    at("said").textContent = "";
  } catch (error) {
    at("said").textContent = error.message;
  }
}

at("which").addEventListener("change", show);
try {
  const { reports } = await ask("GET", "/v1/reports");
  at("which").replaceChildren(...reports.map((name) => new Option(name === "." ? "report" : name, name)));
  if (reports.length) await show();
  else at("said").textContent = "None; start the service with --report DIR.";
} catch (error) {
  at("said").textContent = error.status === 401 ? "Give the API key on the first page." : error.message;
}
