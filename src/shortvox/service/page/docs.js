// The routes of openapi.json, for people.
import { ask } from "./api.js";

function element(name, words, ...children) {
  const found = document.createElement(name);
  found.textContent = words;
  found.append(...children);
  return found;
}

// Without the signs of markdown.
const plain = (text) => text.replaceAll("`", "");

const { info, paths } = await ask("GET", "/openapi.json");
const routes = document.getElementById("routes");
routes.append(element("p", plain(info.description)));
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const section = element("section", "", element("h2", "", element("code", `${method.toUpperCase()} ${path}`)), element("p", route.summary));
    section.className = "panel";
    const [[kind, { schema } = {}] = []] = Object.entries(route.requestBody?.content ?? {});
    if (kind) {
      const fields = Object.entries(schema.properties).map(([name, { description, type, format, items }]) => {
        const sort = (items ?? { format }).format === "binary" ? (type === "array" ? "uploads" : "upload") : type;
        const must = schema.required.includes(name) ? ", required" : "";
        return element("li", "", element("code", name), ` ${sort}${must}${description ? `: ${plain(description)}` : ""}`);
      });
      section.append(element("p", kind), element("ul", "", ...fields));
    }
    const answers = Object.entries(route.responses).map(([status, { description }]) => `${status} ${description}`.trim());
    section.append(element("p", plain(`Answers: ${answers.join("; ")}`)));
    routes.append(section);
  }
}
