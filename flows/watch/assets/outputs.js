// The list of all outputs: what each is doing, the living first. Each is asked about by itself, and only when it is shown.
import { badge, bar, button, byId, el, get, moment, number, percent, plural, query } from "./dom.js";
import { now } from "./state.js";

const FEW = 40; // outputs that are asked about at once; the others on demand
const TOGETHER = 4;
const EVERY = 10000;
let all = [];
let shown = FEW;
let timer = 0;
const known = new Map();

export function showOutputs(outputs) {
  all = outputs;
  draw();
  ask();
}

// Ask about those that are shown: once, and the living again and again.
async function ask() {
  clearTimeout(timer);
  const waiting = all.slice(0, shown).filter((it) => !known.has(it.name) || known.get(it.name).state === "live");
  const one = async () => {
    for (let it = waiting.shift(); it; it = waiting.shift()) {
      try {
        known.set(it.name, await (await get(`overview?${query({ o: it.name })}`)).json());
      } catch (error) {
        known.set(it.name, { state: "unread", reason: error.message, when: null });
      }
      draw();
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
  timer = setTimeout(again, EVERY);
}

async function again() {
  try {
    const outputs = await (await get("outputs")).json();
    if (outputs[0]?.name !== all[0]?.name) known.delete(outputs[0]?.name); // it is used again
    all = outputs;
  } catch { /* the next time */ }
  ask();
}

const lives = (it) => Number(known.get(it.name)?.state === "live");

function draw() {
  const some = all.slice(0, shown);
  const when = (it) => Date.parse(known.get(it.name)?.when ?? "") || 0;
  const order = [...some].sort((a, b) => lives(b) - lives(a) || when(b) - when(a));
  const rest = all.length - some.length;
  const more = rest > 0 ? button(`Show ${plural(rest, "more output")}`, () => { shown = Infinity; draw(); return ask(); }, "more") : null;
  byId("outputs").replaceChildren(...order.map(row), ...(more ? [el("li", {}, more)] : []));
}

function row(it) {
  const about = known.get(it.name);
  const [state, text, facts] = about ? words(about) : ["none", "…", ""];
  return el("li", {},
    el("div", { class: "row" }, el("a", { href: `?o=${encodeURIComponent(it.name)}`, dir: "auto" }, it.output), badge(state, text)),
    el("div", { class: "row counts" }, facts, about?.when ? el("span", {}, `last worked on ${moment(about.when, now())}`) : ""),
    about?.state === "live" ? el("span", { class: "amount rendering" }, bar(about.frames_done, about.frames)) : null);
}

function words(it) {
  if (it.state === "live") return ["rendering", it.starting ? "starting" : `rendering, ${percent(it.frames_done, it.frames)} %`, `${it.ends ? `ends ${moment(it.ends, now())}` : "its end is not known yet"}, ${number(it.frames_done)} of ${plural(it.frames, "frame")} of ${it.runs === 1 ? "the run under way" : `${number(it.runs)} runs under way`}`];
  if (it.state === "unread") return ["failed", "can't be read", it.reason];
  if (it.state === "none") return ["none", "no report yet", ""];
  const facts = `${plural(it.videos, "video")}, ${number(it.frames_done)} of ${plural(it.frames, "frame")}`;
  if (it.state === "failed") return ["failed", [it.failed && `${number(it.failed)} failed`, it.bad_rows && plural(it.bad_rows, "bad row")].filter(Boolean).join(", "), facts];
  if (it.state === "missing") return ["missing", `${number(it.lacking)} not complete`, facts];
  return ["done", "done", facts];
}
