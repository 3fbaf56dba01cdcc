"use strict";

const ALL = "*"; // no task can have this name
const PAUSE = 350; // milliseconds after the last keystroke
const byId = (id) => document.getElementById(id);
const first = byId("first"), second = byId("second"), results = byId("results");
let about = null;
let asked = null; // the AbortController of what is being computed
let timer = 0;

/* ---- small tools: everything from a text or the server becomes text, never markup ---- */

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const percent = (share) => `${Math.round(share * 100)} %`;
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const shares = (task, prediction) => task.labels.map((label) => [label, prediction.probabilities[label]]);

/* ---- pictures ---- */

function tone(task, index) { // a scale runs from low over middle to high; other classes have one colour
  if (!task.ordered) return "var(--accent)";
  const place = index / (task.labels.length - 1);
  const [from, to, share] = place < 0.5 ? ["--low", "--middle", place * 2] : ["--middle", "--high", place * 2 - 1];
  return `color-mix(in oklab, var(${to}) ${share * 100}%, var(${from}))`;
}

function bars(task, prediction) {
  const list = make("dl", { class: task.ordered ? "bars scale" : "bars" });
  shares(task, prediction).forEach(([label, share], index) => {
    const chosen = [prediction.value].flat().includes(index) ? " chosen" : ""; // several labels come as a list
    list.append(
      make("dt", { class: chosen }, label),
      make("dd", {},
        make("div", { class: `bar${chosen}`, "--share": share, "--tone": tone(task, index) }),
        make("span", { class: `percent${chosen}` }, percent(share))),
    );
  });
  return list;
}

function split(task, prediction) { // the larger side is the answer
  const both = shares(task, prediction);
  const ends = both.map(([label, share], index) =>
    make("span", { class: index === prediction.value ? "chosen" : "" }, `${label} ${percent(share)}`));
  const bar = make("div", { class: "split", "--share": both[0][1] });
  return make("div", {}, bar, make("p", { class: "ends" }, ...ends));
}

function gauge(task, prediction) {
  const [low, high] = task.range;
  const share = Math.min(1, Math.max(0, (prediction.value - low) / (high - low)));
  const arc = "M 20 100 A 80 80 0 0 1 180 100";
  const marks = Number.isInteger(high - low) && high - low <= 10 ? high - low : 4;
  const picture = make("svg", { class: "gauge", viewBox: "0 0 200 112", role: "img", "aria-label": `${prediction.value.toFixed(2)} from ${low} to ${high}` },
    make("path", { class: "rail", d: arc }),
    make("path", { class: "fill", d: arc, pathLength: 100, "stroke-dasharray": "100 200", "stroke-dashoffset": 100 - 100 * share }));
  for (let mark = 0; mark <= marks; mark++) {
    const angle = Math.PI * (1 - mark / marks);
    const at = (radius) => [100 + radius * Math.cos(angle), 100 - radius * Math.sin(angle)];
    const [[x1, y1], [x2, y2], [x, y]] = [at(69), at(66), at(58)];
    picture.append(make("line", { x1, y1, x2, y2 }), make("text", { x, y: y + 3 }, String(+(low + (high - low) * mark / marks).toFixed(2))));
  }
  picture.append(make("text", { class: "number", x: 100, y: 98 }, prediction.value.toFixed(2)));
  return picture;
}

const METRICS = {
  accuracy: "accuracy", f1: "F1", pearson: "Pearson r", spearman: "Spearman r",
  micro_f1: "micro-F1", macro_f1: "macro-F1", subset_accuracy: "subset accuracy",
};
const plain = (task, prediction) => make("p", {}, String(prediction.value));
const PICTURES = { class: bars, binary: split, score: gauge, "multi-label": bars };

function quality(task) {
  if (!task.score || task.score.value === null) return "";
  const number = (value) => value.toFixed(3).replace("-", "\u2212");
  const [low, high] = (task.score.ci95 ?? []).map(number);
  const interval = low ? `, 95 % interval ${low} to ${high}` : "";
  return `On ${task.score.n} dev examples: ${METRICS[task.score.metric]} ${number(task.score.value)}${interval}`;
}

function card(task, prediction) {
  const article = make("article", { class: "result", "data-task": task.name });
  const header = make("header", {}, make("h3", {}, task.name));
  article.append(header);
  if (prediction) {
    if (prediction.abstained) header.append(make("p", { class: "verdict" }, "not sure enough"));
    if (prediction.label) header.append(make("p", { class: "verdict" }, [prediction.label].flat().join(", ") || "none"));
    article.append((PICTURES[task.kind] ?? plain)(task, prediction));
  } else {
    article.append(make("p", { class: "missing" }, "Compares two texts: add a second one."));
  }
  if (quality(task)) article.append(make("footer", {}, quality(task)));
  return article;
}

/* ---- asking ---- */

const chosen = () => document.querySelector("#tasks input:checked").value;
const tasks = () => about.tasks.filter((task) => chosen() === ALL || task.name === chosen());
const input = (task) => (task.pair ? { pair: [first.value, second.value] } : { text: first.value });
const complete = (task) => first.value.trim() && (!task.pair || second.value.trim());

function requests(wanted) { // one for the tasks of single texts, one for those of pairs
  return [false, true].flatMap((pair) => {
    const group = wanted.filter((task) => task.pair === pair && complete(task));
    const names = group.map((task) => task.name);
    if (!group.length) return [];
    if (group.length === 1) return [{ names, path: group[0].path, body: input(group[0]) }];
    return [{ names, path: "/predict", body: { tasks: names, ...input(group[0]) } }];
  });
}

async function ask({ names, path, body }, signal) { // the prediction of each task by its name
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${names.join(", ")}: ${answer.detail}`);
  const lists = names.length > 1 ? answer.predictions : { [names[0]]: answer.predictions };
  return Object.entries(lists).map(([name, [prediction]]) => [name, prediction]);
}

async function predict() {
  clearTimeout(timer);
  asked?.abort();
  remember();
  const current = (asked = new AbortController());
  const wanted = first.value.trim() ? tasks() : [];
  results.classList.add("waiting");
  try {
    const begin = performance.now();
    const answers = await Promise.all(requests(wanted).map((request) => ask(request, current.signal)));
    show(wanted, new Map(answers.flat()));
    if (answers.length) byId("latency").textContent = `Answered in ${Math.round(performance.now() - begin)} ms by ${about.engine}.`;
    problem("");
  } catch (error) {
    if (current !== asked) return; // a later question is under way
    problem(error instanceof TypeError ? "The server does not answer." : error.message);
  }
  if (current === asked) results.classList.remove("waiting");
}

function show(wanted, predictions) {
  const cards = wanted.map((task) => card(task, predictions.get(task.name)));
  results.replaceChildren(...(cards.length ? cards : [make("p", { class: "missing" }, "Type a text, or take an example.")]));
  byId("curl").textContent = requests(wanted).map(({ path, body }) =>
    `curl ${location.origin}${path} --json ${shell(JSON.stringify(body))}`).join("\n\n");
}

function problem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

/* ---- the form ---- */

function arrange() { // which fields and examples the chosen task needs
  const pairs = tasks().filter((task) => task.pair);
  const all = chosen() === ALL;
  byId("second-field").hidden = !pairs.length;
  byId("first-label").textContent = pairs.length ? "First text" : "Text";
  byId("second-label").textContent =
    all && pairs.length < about.tasks.length ? `Second text, for ${pairs.map((task) => task.name).join(" and ")}` : "Second text";
  byId("examples").replaceChildren(...examples().map((texts) => {
    const button = make("button", { type: "button" }, ...texts.map((text) => make("span", {}, text)));
    button.addEventListener("click", () => take(texts));
    return make("li", {}, button);
  }));
}

function examples() {
  if (!tasks().some((task) => task.pair)) return about.examples.text.map((text) => [text]);
  return tasks().some((task) => !task.pair) ? about.examples.both : about.examples.pair;
}

function take([one, two = ""]) {
  first.value = one;
  second.value = two;
  predict();
}

function remember() { // so that the address can be kept or shared
  const state = new URLSearchParams({ task: chosen(), first: first.value, second: second.value });
  history.replaceState(null, "", `#${state}`);
}

function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  const radio = [...document.querySelectorAll("#tasks input")].find((one) => one.value === state.get("task"));
  if (radio) radio.checked = true;
  arrange();
  const [one, two = ""] = examples()[0];
  first.value = state.get("first") ?? one;
  second.value = state.get("second") ?? two;
}

function taskButtons() {
  const names = about.tasks.map((task) => task.name);
  if (names.length > 1) names.unshift(ALL);
  names.forEach((name, index) => {
    const radio = make("input", { type: "radio", name: "task", id: `task-${index}`, value: name });
    radio.checked = index === 0;
    radio.addEventListener("change", () => { arrange(); predict(); });
    byId("tasks").append(radio, make("label", { for: radio.id }, name === ALL ? "All at once" : name));
  });
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const next = (document.documentElement.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* a browser that keeps nothing */ }
}

async function start() {
  try { document.documentElement.dataset.theme = localStorage.getItem("theme") ?? ""; } catch { /* the same */ }
  byId("theme").addEventListener("click", theme);
  try {
    about = await (await fetch("/tasks")).json();
  } catch {
    problem("The server does not answer.");
    return;
  }
  byId("run").textContent = [about.run, about.encoder, about.engine].filter(Boolean).join(" · ");
  byId("notes").replaceChildren(...about.notes.map((note) => make("p", {}, note)));
  taskButtons();
  recall();
  for (const field of [first, second]) {
    field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(predict, PAUSE); });
  }
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  byId("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); predict(); }
  });
  addEventListener("hashchange", () => { recall(); predict(); });
  predict();
}

start();
