// The page's own behaviour. Whatever comes from the server or from a script is shown as text, never as
// markup. Nothing is stored, and nothing is sent elsewhere.

const base = document.body.dataset.base;
const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

async function ask(path, options = {}) {
  const began = performance.now();
  const answer = await fetch(location.origin + base + path, { credentials: "same-origin", cache: "no-store", ...options });
  const text = await answer.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* not everything is JSON */ }
  return { status: answer.status, headers: answer.headers, text, body, took: performance.now() - began };
}

const post = (path, body, headers = {}) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } });

const cut = (text, most = 20000) => (text.length > most ? `${text.slice(0, most)} … (${text.length - most} more characters)` : text);
const number = (value, digits = 1) => value.toLocaleString("en", { maximumFractionDigits: digits });

function copyButton(element) {
  const button = make("button", { type: "button", className: "plain", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy ${cut(element.textContent, 60)}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(element.textContent);
      button.textContent = "Copied";
    } catch {
      // Without HTTPS browsers keep the clipboard to themselves: the text is marked instead.
      getSelection().selectAllChildren(element);
      button.textContent = "Marked: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  element.after(button);
}

function problem(body, text) {
  const box = make("div", { className: "notice bad" });
  box.append(make("strong", { textContent: cut((body && body.message) || "The server did not answer as expected", 2000) }));
  const info = body && body.info;
  const words = info === undefined || info === null ? cut(text, 2000) : typeof info === "string" ? info : Object.keys(info).length ? JSON.stringify(info) : "";
  if (words) box.append(make("pre", { textContent: cut(words) }));
  return box;
}

/* Connect */

const LOGIN = "The browser has no user name and password for this server: open the page again and sign in.";

async function check() {
  const steps = $("check-steps");
  steps.replaceChildren();
  $("check").disabled = true;
  const step = (good, words) => steps.append(make("li", { className: good ? "pass" : "fail", textContent: words }));
  try {
    const info = await ask("/info");
    if (info.status !== 200) return step(false, info.status === 401 ? LOGIN : `GET /info answered ${info.status}, not 200: is another server behind this address?`);
    step(true, `GET /info: ${info.body.name}, speaks TabPy ${info.body.server_version} (${number(info.took)} ms)`);
    const needs = Boolean(info.body.versions.v1.features.authentication);
    step(true, needs ? "A user name and a password are needed, and yours were taken" : "No password is needed");
    const probe = await post("/evaluate", { script: "return int(1)", data: { _arg1: [4] } });
    if (probe.status === 404) return step(false, "Scripts are switched off: set TABPY_EVALUATE_ENABLE=true, or use deployed functions only");
    if (probe.status !== 200 || probe.text !== "1") return step(false, `Tableau's probe was answered with ${probe.status}: ${cut(probe.text, 300)}`);
    step(true, `Tableau's probe "return int(1)" gives 1 (${number(probe.took)} ms)`);
    const again = await post("/evaluate", { script: "return int(1)", data: { _arg1: [4] } });
    step(again.took < 1000, `A second call takes ${number(again.took)} ms${again.took < 1000 ? "" : ": a view makes hundreds of them; look at Live for what keeps the workers busy"}`);
    if (location.protocol === "https:") step(true, "HTTPS: the browser trusts the certificate");
    else step(false, "No HTTPS: fine for Tableau Desktop on this network; Tableau Cloud needs HTTPS on port 443, by the platform's edge or a TLS proxy");
  } catch {
    step(false, "The server cannot be reached: is it still running?");
  } finally {
    $("check").disabled = false;
  }
}

/* Try a script */

function fields(line) {
  const found = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^,;\t]*))\s*(?:[,;\t]|$)/y;
  while (pattern.lastIndex < line.length || found.length === 0) {
    const match = pattern.exec(line);
    if (!match) break;
    found.push(match[1] !== undefined ? match[1].replaceAll('""', '"') : match[2].trim());
    if (pattern.lastIndex >= line.length) {
      if (/[,;\t]$/.test(match[0])) found.push("");
      break;
    }
  }
  return found;
}

const isNumber = (text) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
const value = (text) => (text === "" || text.toLowerCase() === "null" ? null : isNumber(text) ? Number(text) : /^(true|false)$/i.test(text) ? text.toLowerCase() === "true" : text);

export function columns(text) {
  const rows = text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== "").map(fields);
  if (rows.length === 0) return { names: [], data: [] };
  const width = Math.max(...rows.map((row) => row.length));
  const plain = (row) => row.every((field) => !isNumber(field) && field !== "");
  const header = rows.length > 1 && plain(rows[0]);
  const names = Array.from({ length: width }, (_, place) => (header && rows[0][place]) || `_arg${place + 1}`);
  const body = header ? rows.slice(1) : rows;
  return { names, data: names.map((_, place) => body.map((row) => value(row[place] ?? ""))) };
}

function number_lines(bad) {
  const count = $("script").value.split("\n").length;
  const lines = $("lines");
  lines.replaceChildren();
  for (let line = 1; line <= count; line += 1) {
    lines.append(line === bad ? make("mark", { textContent: `▸${line}` }) : String(line), "\n");
  }
  lines.scrollTop = $("script").scrollTop;
}

const shown = (item) => (item === null || item === undefined ? "null" : typeof item === "string" ? item : JSON.stringify(item));

function table(names, data, result) {
  const rows = Math.max(0, ...data.map((column) => column.length), result.length);
  const most = 500;
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col", textContent: cut(name, 100) })), make("th", { scope: "col", textContent: "result" }));
  const body = make("tbody");
  for (let row = 0; row < Math.min(rows, most); row += 1) {
    const cell = (column) => make("td", { className: "mono", textContent: row < column.length ? cut(shown(column[row]), 300) : "" });
    body.append(make("tr", {}, ...data.map(cell), cell(result)));
  }
  const whole = make("div", { className: "table", tabIndex: 0 }, make("table", {}, make("thead", {}, head), body));
  whole.setAttribute("role", "region");
  whole.setAttribute("aria-label", "Input and result");
  if (rows > most) whole.append(make("p", { className: "quiet", textContent: `${rows - most} more rows` }));
  return whole;
}

function times(answer) {
  const parts = Object.fromEntries((answer.headers.get("Server-Timing") || "").split(",").map((part) => {
    const [name, duration] = part.trim().split(";dur=");
    return [name, Number(duration)];
  }));
  const known = ["queue", "python"].filter((name) => Number.isFinite(parts[name])).map((name) => `${name} ${number(parts[name], 2)} ms`);
  return [...known, `total ${number(answer.took, 1)} ms`].join(", ");
}

function printed(answer) {
  const encoded = answer.headers.get("TabPy-Output");
  if (!encoded) return "";
  return new TextDecoder().decode(Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)));
}

async function run(event) {
  event.preventDefault();
  const { names, data } = columns($("columns").value);
  const call = { script: $("script").value, data: Object.fromEntries(data.map((column, place) => [`_arg${place + 1}`, column])) };
  $("run").disabled = true;
  number_lines();
  const outcome = $("outcome");
  try {
    const answer = await post("/evaluate", call, { "TabPy-Details": "true" });
    outcome.replaceChildren();
    $("times").textContent = times(answer);
    const output = printed(answer);
    if (answer.status === 200) {
      const result = Array.isArray(answer.body) ? answer.body : [answer.body];
      const rows = Math.max(0, ...data.map((column) => column.length));
      const columnar = answer.body !== null && typeof answer.body === "object" && !Array.isArray(answer.body);
      if (!columnar && rows > 0 && result.length !== 1 && result.length !== rows) {
        const takes = rows === 1 ? "1 row. Tableau takes 1" : `${rows} rows. Tableau takes 1 or ${rows}`;
        outcome.append(make("p", { className: "notice warn", textContent: `The result has ${result.length} values for ${takes}, and would say "Unexpected number of results".` }));
      }
      outcome.append(columnar ? make("pre", { textContent: cut(JSON.stringify(answer.body, null, 1)) }) : table(names, data, result));
    } else {
      const line = /\(line (\d+)[:)]/.exec((answer.body && typeof answer.body.info === "string" && answer.body.info) || "");
      number_lines(line ? Number(line[1]) : undefined);
      outcome.append(answer.status === 401 ? make("p", { className: "notice bad", textContent: LOGIN }) : problem(answer.body, answer.text));
    }
    if (output) outcome.append(make("h3", { textContent: "Printed" }), make("pre", { textContent: output }));
  } catch {
    outcome.replaceChildren(make("p", { className: "notice bad", textContent: "The server cannot be reached." }));
  } finally {
    $("run").disabled = false;
  }
}

/* Functions */

let functions = [];

const quoted = (text) => text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll('"', '\\"');

function arguments_of(schema) {
  const input = schema && schema.input && schema.input.properties;
  if (!input || typeof input !== "object") return [];
  const required = new Set(schema.input.required || []);
  return Object.entries(input).map(([name, about]) => ({ name, type: (about && (about.type || (about.items && about.items.type))) || "", items: about && about.items && about.items.type, needed: required.has(name) }));
}

function line_of(name, names) {
  const list = names.map((_, place) => `_arg${place + 1}`).join(", ");
  const fields_of = names.map((argument) => `SUM([${argument}])`).join(", ");
  const call = `return tabpy.query('${quoted(name)}'${list ? `, ${list}` : ""})['response']`;
  return `SCRIPT_REAL("${call}"${fields_of ? `, ${fields_of}` : ""})`;
}

function function_card(about) {
  const title = make("h3", {}, cut(about.name, 200));
  const tag = (text, bad) => title.append(make("span", { className: bad ? "tag bad" : "tag", textContent: text }));
  tag(`version ${about.version}`);
  if (about.is_public) tag("shown in Tableau");
  if (about.origin === "folder") tag("from the functions folder");
  const failed = about.status === "LoadFailed";
  if (failed) tag("does not load", true);
  const card = make("div", { className: "function" }, title);
  const words = about.description || about.docstring;
  if (words) card.append(make("pre", { className: "quiet", textContent: cut(words, 4000) }));
  if (about.last_error) card.append(make("p", { className: "notice bad", textContent: cut(about.last_error, 4000) }));
  const known = arguments_of(about.schema);
  if (known.length) {
    const rows = known.map((argument) => make("tr", {}, make("td", { className: "mono", textContent: argument.name }), make("td", { textContent: argument.items ? `${argument.type} of ${argument.items}` : argument.type }), make("td", { textContent: argument.needed ? "needed" : "" })));
    card.append(make("table", {}, make("thead", {}, make("tr", {}, ...["Argument", "Type", ""].map((text) => make("th", { scope: "col", textContent: text })))), make("tbody", {}, ...rows)));
  }
  const names = known.map((argument) => argument.name);
  const copies = [line_of(about.name, names), `MODEL_EXTENSION_REAL("${quoted(about.name)}", "${names.join(", ")}"${names.map((name) => `, SUM([${name}])`).join("")})`];
  for (const text of copies) {
    const code = make("code", { textContent: text });
    card.append(make("p", {}, code));
    copyButton(code);
  }
  card.append(trial(about.name, names), versions(about));
  return card;
}

function trial(name, names) {
  const details = make("details", {}, make("summary", { textContent: "Try it" }));
  const input = make("textarea", { rows: 3, spellcheck: false, value: JSON.stringify(Object.fromEntries(names.map((argument) => [argument, [1]]))) });
  input.setAttribute("aria-label", `Arguments for ${name}, as JSON`);
  const outcome = make("div");
  outcome.setAttribute("aria-live", "polite");
  const button = make("button", { type: "button", textContent: "Call" });
  button.addEventListener("click", async () => {
    let data;
    try { data = JSON.parse(input.value); } catch (error) {
      return outcome.replaceChildren(make("p", { className: "notice bad", textContent: `The arguments are no JSON: ${error.message}` }));
    }
    const answer = await post(`/query/${encodeURIComponent(name)}`, { data });
    outcome.replaceChildren(answer.status === 200 ? make("pre", { textContent: cut(JSON.stringify(answer.body.response)) }) : problem(answer.body, answer.text));
  });
  details.append(input, make("p", {}, button), outcome);
  return details;
}

function versions(about) {
  const list = about.versions || [];
  if (list.length < 2) return null;
  const rows = list.map((version) => {
    const back = make("button", { type: "button", className: "plain", textContent: "Restore" });
    back.addEventListener("click", async () => {
      await ask(`/functions/${encodeURIComponent(about.name)}/rollback?version=${version.version}`, { method: "POST" });
      await load_functions();
    });
    const when = version.deployed_time ? new Date(version.deployed_time * 1000).toISOString().slice(0, 16).replace("T", " ") : "";
    return make("tr", {}, make("td", { textContent: String(version.version) }), make("td", { textContent: when }), make("td", { textContent: version.deployed_by || "" }), make("td", {}, version.version === about.version ? "in force" : back));
  });
  const head = make("tr", {}, ...["Version", "When (UTC)", "Who", ""].map((text) => make("th", { scope: "col", textContent: text })));
  return make("details", {}, make("summary", { textContent: `${list.length} versions` }), make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function show_functions() {
  const wanted = $("search").value.toLowerCase();
  const found = functions.filter((about) => `${about.name} ${about.description || ""} ${about.docstring || ""}`.toLowerCase().includes(wanted));
  $("functions-count").textContent = functions.length ? `${found.length} of ${functions.length}` : "";
  const none = make("p", { className: "quiet", textContent: functions.length ? "No function has that in its name or description." : "No functions yet. Upload a Python file below, put one into the functions folder, or deploy with TabPy's client." });
  $("functions-list").replaceChildren(...(found.length ? found.slice(0, 200).map(function_card) : [none]));
}

async function load_functions() {
  const answer = await ask("/functions");
  if (answer.status === 200 && answer.body) {
    functions = answer.body.functions || [];
  }
  show_functions();
}

async function upload(event) {
  event.preventDefault();
  const file = $("upload-file").files[0];
  const outcome = $("upload-outcome");
  outcome.replaceChildren(make("p", { className: "quiet", textContent: "Loading it…" }));
  const path = `/functions/${encodeURIComponent($("upload-name").value)}?public=${$("upload-public").checked}`;
  const answer = await ask(path, { method: "PUT", body: file, headers: { "Content-Type": "text/x-python" } });
  if (answer.status === 200 || answer.status === 201) {
    outcome.replaceChildren(make("p", { className: "notice", textContent: `${answer.body.name} is in force as version ${answer.body.version}.` }));
    await load_functions();
  } else {
    outcome.replaceChildren(problem(answer.body, answer.text));
  }
}

/* Live */

const history = [];
const SVG = "http://www.w3.org/2000/svg";

function chart(title, figure, series) {
  const card = make("article", {}, make("h3", { textContent: title }), make("p", { className: "figure", textContent: figure }));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: now ${figure}`);
  const most = Math.max(1e-9, ...series.flatMap((one) => one.map((point) => point[1])));
  series.forEach((points, place) => {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", points.map(([x, y]) => `${(x * 100).toFixed(2)},${(38 - (y / most) * 36).toFixed(2)}`).join(" "));
    if (place) line.setAttribute("class", "second");
    svg.append(line);
  });
  card.append(svg);
  return card;
}

function draw(live) {
  history.push(live);
  if (history.length > 300) history.shift();
  const span = 600;
  const by_age = new Map(live.points.map((point) => [point.age, point]));
  const ages = Array.from({ length: span / 5 }, (_, place) => span - 5 - place * 5);
  const past = (pick) => ages.map((age) => [1 - age / span, by_age.has(age) ? pick(by_age.get(age)) : 0]);
  const seen = (pick) => history.map((one, place) => [history.length < 2 ? 1 : place / (history.length - 1), pick(one)]);
  const last = live.points.at(-1);
  const recent = last && last.age <= 10 ? last : { requests: 0, errors: 0, p50: 0, p99: 0 };
  $("charts").replaceChildren(
    chart("Requests a second, and errors", `${number(recent.requests / 5)} / ${number(recent.errors / 5)}`, [past((p) => p.requests / 5), past((p) => p.errors / 5)]),
    chart("Median and 99 %, ms", `${number(recent.p50, 2)} / ${number(recent.p99, 2)}`, [past((p) => p.p50), past((p) => p.p99)]),
    chart("Workers: all, and busy", `${live.idle + live.busy} / ${live.busy}`, [seen((l) => l.idle + l.busy), seen((l) => l.busy)]),
    chart("Requests waiting", String(live.waiting), [seen((l) => l.waiting)]),
    chart("Memory, MB", number(live.memory / 2 ** 20, 0), [seen((l) => l.memory)]),
  );
  const meanings = { stopped: "too slow, or the client left", died: "ended by the script", limited: "took too much", spoilt: "changed by a script", served: "served long enough", idle: "not needed" };
  $("ended").replaceChildren(...live.ended.map((end) => make("div", {}, make("dt", { textContent: meanings[end.reason] || end.reason }), make("dd", { textContent: number(end.workers, 0) }))));
  const rows = live.errors.slice(0, 15).map((error) => make("tr", {}, make("td", { textContent: new Date(error.at * 1000).toLocaleTimeString() }), make("td", { textContent: String(error.status) }), make("td", { textContent: cut(error.kind, 200) }), make("td", { textContent: error.line === null ? error.route : `line ${error.line}` }), make("td", { className: "mono", textContent: error.request_id })));
  const head = make("tr", {}, ...["When", "Status", "What", "Where", "Request id"].map((text) => make("th", { scope: "col", textContent: text })));
  const region = make("div", { className: "table", tabIndex: 0 }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", "Last errors");
  $("errors").replaceChildren(rows.length ? region : make("p", { className: "quiet", textContent: "None." }));
}

async function watch() {
  if (!document.hidden) {
    try {
      const answer = await ask("/live");
      if (answer.status === 200) draw(answer.body);
    } catch { /* the next look will tell */ }
  }
  setTimeout(watch, 2000);
}

/* Begin */

for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
for (const element of document.querySelectorAll("[data-copy]")) copyButton(element);
$("check").addEventListener("click", check);
if ($("try-form")) {
  $("try-form").addEventListener("submit", run);
  $("script").addEventListener("input", () => number_lines());
  $("script").addEventListener("scroll", () => { $("lines").scrollTop = $("script").scrollTop; });
  number_lines();
}
$("search").addEventListener("input", show_functions);
$("upload-form").addEventListener("submit", upload);
load_functions();
watch();
