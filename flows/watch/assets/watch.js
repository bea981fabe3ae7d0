// The live page: asks every few seconds what the output's runs are doing, and shows it.
import { Refused, badge, bar, byId, el, fill, get, moment, number, percent, plural, post, query, seconds } from "./dom.js";
import { showFailures } from "./failures.js";
import { openGrid, overlay } from "./grid.js";
import { showOutputs } from "./outputs.js";
import { showRuns, showWorkers } from "./runs.js";
import { asked, now, page } from "./state.js";

const EVERY = 3000;
const HIDDEN_EVERY = 30000;
const OTHERS_EVERY = 15000;
let tag = "";
let timer = 0;
let turn = 0;

// -- the key and the output ----------------------------------------------------------------------------------------------

async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  const wanted = new URLSearchParams(location.search).get("o");
  try {
    if (given) {
      history.replaceState(null, "", location.pathname + location.search); // not into bookmarks, nor over a shoulder
      await post("key", { key: given });
    }
    const outputs = await (await get("outputs")).json();
    byId("trouble").hidden = true;
    const list = new URLSearchParams(location.search).has("all");
    if (wanted || (outputs.length === 1 && !list)) choose(wanted ?? outputs[0].name, outputs.length > 1);
    else offer(outputs);
  } catch (error) {
    trouble(error);
    if (!(error instanceof Refused)) timer = setTimeout(begin, EVERY);
  }
}

function offer(outputs) {
  byId("choose").hidden = false;
  pulse("good", "connected");
  byId("title").textContent = "Live";
  if (outputs.length) return showOutputs(outputs);
  byId("outputs").replaceChildren(el("li", { class: "empty" }, "No run of this machine has begun yet. This page lists their outputs as they do."));
  timer = setTimeout(begin, EVERY);
}

function choose(name, others) {
  asked.o = name;
  byId("choose").hidden = true;
  byId("others").hidden = !others;
  if (!others) setTimeout(lookForOthers, OTHERS_EVERY);
  look();
}

// Once there are more outputs than this one, the way to all of them is shown.
async function lookForOthers() {
  try {
    byId("others").hidden = (await (await get("outputs")).json()).length < 2;
  } catch { /* the next time */ }
  if (byId("others").hidden) setTimeout(lookForOthers, OTHERS_EVERY);
}

// -- looking -------------------------------------------------------------------------------------------------------------

async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const response = await get(`view?${query(asked)}`, { headers: tag ? { "If-None-Match": tag } : {} });
    if (mine !== turn) return; // another question was asked meanwhile
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) page.clock = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
    if (response.status !== 304) {
      page.shown = await response.json();
      tag = response.headers.get("ETag") ?? "";
    }
    byId("trouble").hidden = true;
    pulse("good", "live");
    show(page.shown);
  } catch (error) {
    if (mine !== turn) return;
    trouble(error);
    if (error instanceof Refused && [401, 403, 404].includes(error.status)) return;
  }
  timer = setTimeout(look, document.hidden ? HIDDEN_EVERY : EVERY);
}

function trouble(error) {
  const text = error instanceof Refused ? error.message : "The page's server does not answer: what is shown may be old. Is `nightreel watch` (or `up`) still running?";
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
  pulse("bad", error instanceof Refused && error.status === 401 ? "locked" : "not live");
}

function pulse(kind, text) {
  const node = byId("pulse");
  node.className = `pulse ${kind}`;
  if (node.textContent !== text) node.textContent = text;
}

// -- showing -------------------------------------------------------------------------------------------------------------

function show(it) {
  byId("live").hidden = false;
  const name = it.output.replace(/\/+$/, "").split("/").pop() || it.output;
  byId("title").textContent = name;
  document.title = `${percent(it.frames_done, it.frames)} % · ${name} · nightreel`;
  byId("where").textContent = it.output;
  const living = it.runs.filter((run) => run.alive);
  showTotals(it, living);
  showFailures(it);
  showWorkers(living);
  showLatest(it);
  showVideos(it);
  showRuns(it);
  overlay(it.runs);
}

function total(name, big, ...rest) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, big)), ...rest.map((node) => el("dd", { class: "sub" }, node)));
}

function showTotals(it, living) {
  const run = living[0];
  const workers = living.flatMap((each) => each.workers);
  const working = workers.filter((worker) => worker.busy);
  const last = it.runs[0];
  const silent = it.runs.filter((each) => each.phase === "silent" && !each.alive).length && !living.length;
  const state = living.length ? (living.length > 1 ? plural(living.length, "run") : run.phase) : silent ? "no sign of life" : last ? "nothing under way" : "no run yet";
  const below = living.length ? drawn(working)
    : silent ? `last heard of ${moment(last.heard, now())}` : last ? `last run ${ended(last)} ${moment(last.over ?? last.heard, now())}` : "";
  const { counts, failed } = it;
  const parts = ["failed", "rendering", "stitching", "waiting", "missing"].filter((state) => counts[state]).map((state) => `${number(counts[state])} ${state}`);
  if (it.to_review) parts.push(`${number(it.to_review)} to review`);
  const [end, when] = theEnd(living, workers);
  const wrong = [failed.frames && `${plural(failed.frames, "frame")}`, failed.bad_rows && plural(failed.bad_rows, "bad row")].filter(Boolean).join(", ");
  const node = [
    total("now", state, below),
    total("frames", `${percent(it.frames_done, it.frames)} %`, `${number(it.frames_done)} of ${number(it.frames)}`, bar(it.frames_done, it.frames)),
    total("ends", end, when),
    total("videos", `${number(counts.done)} of ${number(it.videos)}`, parts.join(", ") || (it.videos ? "all done" : "")),
    total("failed", failed.videos ? plural(failed.videos, "video") : "0", wrong || (failed.videos ? "tried again" : "nothing has failed")),
  ];
  node[1].classList.add("accent");
  node[4].classList.toggle("alarm", Boolean(failed.videos || wrong));
  byId("totals").replaceChildren(...node);
}

// What is drawn now, and by whom, where few words say it.
function drawn(working) {
  if (!working.length || working.length > 2) return plural(working.length, "worker draws", "workers draw");
  return working.map((it) => `${it.video}, frame ${number(it.frame)}, on ${it.worker}`).join("; ");
}

function theEnd(living, workers) {
  if (!living.length) return ["–", ""];
  const open = living.filter((run) => run.frames_done < run.frames - run.failed || !run.frames);
  if (!open.length) return ["soon", "no frame is left to draw"];
  if (open.some((run) => !run.ends)) return ["not known yet", workers.length && !workers.some((it) => it.busy || it.state === "idle") ? "no worker draws now" : "known after the first frames"];
  const ends = open.map((run) => run.ends).sort().pop();
  const left = (Date.parse(ends) - now()) / 1000;
  return [moment(ends, now()), left > 0 ? `in ${seconds(left)}` : "any moment"];
}

const ended = (run) => (run.ended_as === "waiting" ? "waits for Resume since" : run.ending ? `ended: ${run.ending}` : "was heard of");

// -- pictures ------------------------------------------------------------------------------------------------------------

function showLatest(it) {
  byId("pictures").hidden = !it.latest.length;
  fill(byId("latest"), it.latest, (frame) => `${frame.video}/${frame.frame}/${frame.digest}`, (frame) => {
    const picture = el("img", { alt: "", loading: "lazy", src: `api/thumbnail?${query({ o: asked.o, video: frame.video, frame: frame.frame, digest: frame.digest })}`, class: "crisp" });
    const node = el("button", { type: "button", class: "plain shot", "data-name": "open" }, picture, el("span", { dir: "auto" }, `${frame.video}, ${number(frame.frame)}`));
    node.addEventListener("click", () => openGrid(asked.o, frame.video, frame.frame));
    return el("li", {}, node);
  });
}

// -- videos --------------------------------------------------------------------------------------------------------------

function showVideos(it) {
  byId("videos-title").textContent = `Videos: ${number(it.videos)}`;
  const counts = { ...it.counts, review: it.to_review };
  const states = [["", it.videos], ...Object.entries(counts).filter(([state, count]) => count || state === asked.state)];
  fill(byId("states"), states, ([state]) => state, ([state, count]) => {
    const input = el("input", { type: "radio", name: "state", value: state, checked: state === asked.state, "data-name": "state" });
    return el("label", {}, input, el("span", { class: state || null }, `${state === "review" ? "to review" : state || "all"} ${number(count)}`));
  });
  fill(byId("videos"), it.rows, (row) => row.video, (row) => {
    const node = el("button", { type: "button", class: "plain video", "data-name": "open" },
      el("span", { class: "row" }, el("b", { dir: "auto" }, row.video), badge(row.state, row.state), row.review ? badge("review", "to review") : null),
      el("span", { class: `amount ${row.state}` }, bar(row.done, row.frames), el("span", { class: "counts" }, `${number(row.done)} / ${number(row.frames)}`)),
      row.reason ? el("span", { class: "counts line", dir: "auto" }, row.reason) : null,
      row.review ? el("span", { class: "counts line", dir: "auto" }, row.review) : null);
    node.addEventListener("click", () => openGrid(asked.o, row.video));
    return el("li", { class: row.state }, node);
  });
  const none = byId("none");
  none.hidden = it.rows.length > 0;
  none.textContent = it.videos ? "No video fits this filter." : "No video yet.";
  byId("pages").hidden = it.matching <= asked.limit;
  byId("place").textContent = it.rows.length ? `${number(it.offset + 1)} to ${number(it.offset + it.rows.length)} of ${number(it.matching)}` : "";
  byId("before").disabled = it.offset === 0;
  byId("after").disabled = it.offset + it.rows.length >= it.matching;
}

let typing = 0;
byId("tools").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const form = new FormData(byId("tools"));
    Object.assign(asked, { state: form.get("state") ?? "", text: form.get("text") ?? "", offset: 0 });
    tag = "";
    look();
  }, event.target.type === "search" ? 200 : 0);
});
byId("tools").addEventListener("submit", (event) => event.preventDefault());
const turnPage = (by) => () => {
  asked.offset = Math.max(0, (page.shown?.offset ?? 0) + by * asked.limit);
  tag = "";
  look().then(() => byId("videos-title").scrollIntoView());
};
byId("before").addEventListener("click", turnPage(-1));
byId("after").addEventListener("click", turnPage(1));

// the link with the key, pasted over the address of a page that is locked, loads nothing again
window.addEventListener("hashchange", () => {
  clearTimeout(timer);
  begin();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && asked.o) look(); });
begin();
