// The live page: asks every few seconds what the output's runs are doing, and shows it.
import { Refused, badge, bar, byId, el, fill, get, link, moment, notice, number, percent, plural, post, query, rerun, seconds } from "./dom.js";
import { openGrid, overlay } from "./grid.js";

const EVERY = 3000;
const HIDDEN_EVERY = 30000;
const asked = { o: "", state: "", text: "", offset: 0, limit: matchMedia("(max-width: 600px)").matches ? 30 : 99 };
let tag = "";
let shown = null; // the last answer
let clock = 0; // the server's time less ours, in milliseconds
let timer = 0;
let turn = 0;
let allFailures = false;
let allRuns = false;
const FEW = 4; // videos with failures that leave the workers in sight

const now = () => Date.now() + clock;

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
    if (wanted || outputs.length === 1) choose(wanted ?? outputs[0].name, outputs.length > 1);
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
  const rows = outputs.map((it) => el("li", {}, el("a", { href: `?o=${encodeURIComponent(it.name)}`, dir: "auto" }, it.output)));
  byId("outputs").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "No run of this machine has begun yet. This page lists their outputs as they do.")]));
  if (!rows.length) timer = setTimeout(begin, EVERY);
}

function choose(name, others) {
  asked.o = name;
  byId("choose").hidden = true;
  byId("others").hidden = !others;
  look();
}

// -- looking -------------------------------------------------------------------------------------------------------------

async function look() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const response = await get(`view?${query(asked)}`, { headers: tag ? { "If-None-Match": tag } : {} });
    if (mine !== turn) return; // another question was asked meanwhile
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) clock = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
    if (response.status !== 304) {
      shown = await response.json();
      tag = response.headers.get("ETag") ?? "";
    }
    byId("trouble").hidden = true;
    pulse("good", "live");
    show(shown);
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
  overlay(living.flatMap((run) => run.workers));
}

function total(name, big, ...rest) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, big)), ...rest.map((node) => el("dd", { class: "sub" }, node)));
}

function showTotals(it, living) {
  const run = living[0];
  const working = living.flatMap((each) => each.workers).filter((worker) => worker.busy);
  const ends = living.map((each) => each.ends).filter(Boolean).sort().pop();
  const last = it.runs[0];
  const silent = it.runs.filter((each) => each.phase === "silent" && !each.alive).length && !living.length;
  const state = living.length ? (living.length > 1 ? plural(living.length, "run") : phaseText(run)) : silent ? "no sign of life" : last ? "nothing under way" : "no run yet";
  const below = living.length ? plural(working.length, "worker draws", "workers draw")
    : silent ? `last heard of ${moment(last.heard, now())}` : last ? `last run ${ended(last)} ${moment(last.over ?? last.heard, now())}` : "";
  const left = ends ? (Date.parse(ends) - now()) / 1000 : 0;
  const counts = it.counts;
  const parts = ["rendering", "stitching", "waiting", "missing"].filter((state) => counts[state]).map((state) => `${number(counts[state])} ${state}`);
  const node = [
    total("now", state, below),
    total("frames", `${percent(it.frames_done, it.frames)} %`, `${number(it.frames_done)} of ${number(it.frames)}`, bar(it.frames_done, it.frames)),
    total("ends", ends ? moment(ends, now()) : living.length ? "not known yet" : "–", ends ? (left > 0 ? `in ${seconds(left)}` : "any moment") : living.length ? "known after the first frames" : ""),
    total("videos", `${number(counts.done)} of ${number(it.videos)}`, parts.join(", ") || (it.videos ? "all done" : "")),
    total("failed", number(failedFrames(it)), counts.failed || counts.invalid ? [counts.failed && plural(counts.failed, "video"), counts.invalid && plural(counts.invalid, "row not rendered", "rows not rendered")].filter(Boolean).join(", ") : "nothing has failed"),
  ];
  node[1].classList.add("accent");
  node[4].classList.toggle("alarm", Boolean(counts.failed || counts.invalid));
  byId("totals").replaceChildren(...node);
}

const failedFrames = (it) => it.failures.reduce((sum, group) => sum + Math.max(group.count, group.items.length), 0);
const ended = (run) => (run.result === "Completed" ? "completed" : run.result ? `ended ${run.result}` : "was heard of");
const PHASES = { starting: "starting", rendering: "rendering", paused: "paused", stopping: "stopping" };
const phaseText = (run) => PHASES[run.phase] ?? run.phase;

// -- what failed ---------------------------------------------------------------------------------------------------------

function showFailures(it) {
  const bad = it.counts.invalid + it.problems.length;
  byId("failures").hidden = !it.failures.length && !bad;
  const frames = failedFrames(it);
  const parts = [];
  if (it.failures.length) parts.push(`${plural(frames, "frame")} failed in ${plural(it.failures.length + it.more_failures, "video")}`);
  if (bad) parts.push(`${plural(bad, "row", "rows")} not rendered`);
  byId("failures-title").textContent = parts.join(", ");
  fill(byId("failed"), allFailures ? it.failures : it.failures.slice(0, FEW), (group) => group.video, failedRow);
  const all = byId("all-failures");
  all.hidden = it.failures.length <= FEW;
  all.textContent = allFailures ? "Show fewer" : `Show all ${plural(it.failures.length, "video")} with failures`;
  const more = byId("more-failures");
  more.hidden = !it.more_failures || !allFailures;
  more.textContent = `and ${plural(it.more_failures, "more video")}: the filter “failed” below lists them all`;
  byId("bad-rows").hidden = !bad;
  byId("bad-rows-title").textContent = "Rows that are not rendered";
  const invalid = it.rows.filter((row) => row.state === "invalid").map((row) => ({ place: "", video: row.video, message: row.reason }));
  fill(byId("problems"), [...it.problems, ...invalid], (row) => row.place + row.video + row.message, (row) =>
    el("li", {}, row.video ? el("b", { dir: "auto" }, row.video) : "", el("span", { class: "counts" }, row.place), el("span", { class: "reason", dir: "auto" }, row.message)));
}

byId("all-failures").addEventListener("click", () => {
  allFailures = !allFailures;
  showFailures(shown);
});

function failedRow(group) {
  const open = button(group.video, () => openGrid(asked.o, group.video, group.items[0]?.frame ?? 0), "name");
  const again = group.frames ? button(group.count === 1 ? `Re-run frame ${group.frames}` : `Re-run ${number(group.count || 1)} failed`, () => rerun(asked.o, group.video, group.frames), "again") : null;
  const lacking = button("Re-run all that is missing", () => rerun(asked.o, group.video, "missing"), "missing");
  const head = el("div", { class: "row" }, open,
    el("span", { class: "counts" }, group.frames ? `frame${group.count === 1 ? "" : "s"} ${group.frames}` : group.items.length ? "the video itself" : ""),
    group.again ? badge("waiting", "tried again") : badge("failed"),
    group.again ? "" : el("span", { class: "acts" }, again, lacking)); // what its run still tries is not begun a second time
  const reasons = new Map();
  for (const item of group.items) {
    const same = reasons.get(item.message) ?? [];
    same.push(item);
    reasons.set(item.message, same);
  }
  const list = [...reasons.values()].slice(0, 5).map((items) => {
    const it = items.at(-1);
    const log = link(it.log, "log");
    const frames = items.filter((each) => each.frame !== null).map((each) => each.frame);
    return el("div", { class: "why-row" },
      el("span", { class: "reason", dir: "auto" }, it.message),
      el("span", { class: "counts" }, [reasons.size > 1 && frames.length ? `frame${frames.length > 1 ? "s" : ""} ${frames.slice(0, 6).join(", ")}${frames.length > 6 ? ", …" : ""}` : "", it.kind, it.worker && `on ${it.worker}`, plural(it.attempts, "attempt"), it.final ? "" : "tried again"].filter(Boolean).join(" · ")), log);
  });
  if (!list.length && group.reason) list.push(el("div", { class: "why-row" }, el("span", { class: "reason", dir: "auto" }, group.reason)));
  return el("li", { class: "failed" }, head, ...list);
}

function button(text, act, name, kind = "") {
  const node = el("button", { type: "button", class: name === "name" ? "plain name" : kind, "data-name": name }, text);
  node.addEventListener("click", async () => {
    node.disabled = true;
    try { await act(); } finally { node.disabled = false; }
  });
  return node;
}

// -- workers -------------------------------------------------------------------------------------------------------------

function showWorkers(living) {
  const workers = living.flatMap((run) => run.workers.map((worker) => ({ ...worker, run: run.run, name: living.length > 1 ? run.name || run.run : "", phase: run.phase })));
  byId("now").hidden = !living.length;
  const busy = workers.filter((worker) => worker.busy).length;
  byId("now-title").textContent = workers.length ? `Workers: ${busy} of ${number(workers.length)} drawing` : "Workers: none yet, they are starting";
  fill(byId("workers"), workers, (worker) => `${worker.run}/${worker.worker}`, workerCard);
}

function workerCard(it) {
  const waits = it.busy && it.step === 0;
  const state = it.state === "rendering" && waits ? "preparing" : it.state;
  const rate = it.steps_per_second ? `${it.steps_per_second.toFixed(it.steps_per_second < 10 ? 1 : 0)} steps/s` : "";
  const facts = it.busy ? [`step ${it.step} of ${it.steps}`, rate, it.loss !== null && it.step ? `loss ${it.loss.toFixed(3)}` : ""] : [it.video ? `last: frame ${it.frame} of ${it.video}` : ""];
  const acts = it.state === "drained" || it.state === "quarantined" ? [["allow", "Allow again"]] : [];
  if (it.state !== "drained" && it.state !== "draining" && it.state !== "starting") acts.push(["drain", "Drain"], ["restart", "Restart"]);
  if (it.state === "draining") acts.push(["allow", "Keep it"]);
  return el("li", { class: `worker ${it.state}` },
    el("div", { class: "row" }, el("b", { dir: "auto" }, it.worker), badge(state, WORKER[state] ?? state)),
    it.busy ? el("div", { class: "drawing" }, button(`${it.video}, frame ${number(it.frame)}`, () => openGrid(asked.o, it.video, it.frame), "name")) : el("div", { class: "drawing counts" }, MEANING[it.state] ?? "waits for work"),
    it.busy ? bar(it.step, it.steps, "steps") : null,
    el("div", { class: "facts" }, ...facts.filter(Boolean).map((text) => el("span", { dir: "auto" }, text))),
    el("div", { class: "facts" }, it.process && it.process !== it.worker ? el("span", {}, it.process) : "", it.name ? el("span", { dir: "auto" }, it.name) : ""),
    el("div", { class: "acts" }, ...acts.map(([kind, text]) => button(text, () => ask(it.run, kind, it.worker, text), kind))));
}

const WORKER = { rendering: "rendering", preparing: "preparing", idle: "idle", starting: "starting", quarantined: "quarantined", draining: "draining", drained: "drained", silent: "no answer" };
const MEANING = {
  idle: "waits for work", starting: "its process is starting", quarantined: "failed what others can do", drained: "has given its place back",
  draining: "leaves now", silent: "its process does not answer",
};
const SAID = {
  drain: (worker) => `${worker} finishes its frame, then leaves`, restart: (worker) => `${worker} is restarted; its frame is drawn again`,
  allow: (worker) => `${worker} may work again`, priority: (_, priority) => `the priority becomes ${priority}`,
};

async function ask(run, kind, worker, text, priority) {
  try {
    await post("ask", { output: asked.o, run, kind, worker, ...(priority === undefined ? {} : { priority }) });
    const said = notice("", `${text ?? kind}: asked for. The run hears it within seconds; below, under Runs, it says what it did.`);
    setTimeout(() => said.remove(), 10000);
  } catch (error) {
    notice("bad", el("p", { dir: "auto" }, error.message));
  }
}

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
  const states = [["", it.videos], ...Object.entries(it.counts).filter(([state, count]) => count || state === asked.state)];
  fill(byId("states"), states, ([state]) => state, ([state, count]) => {
    const input = el("input", { type: "radio", name: "state", value: state, checked: state === asked.state, "data-name": "state" });
    return el("label", {}, input, el("span", { class: state || null }, `${LABEL[state] ?? (state || "all")} ${number(count)}`));
  });
  fill(byId("videos"), it.rows, (row) => row.video, (row) => {
    const node = el("button", { type: "button", class: "plain video", "data-name": "open" },
      el("span", { class: "row" }, el("b", { dir: "auto" }, row.video), badge(row.state, LABEL[row.state] ?? row.state)),
      el("span", { class: `amount ${row.state}` }, bar(row.done, row.frames), el("span", { class: "counts" }, `${number(row.done)} / ${number(row.frames)}`)),
      row.reason ? el("span", { class: "counts line", dir: "auto" }, row.reason) : null);
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

const LABEL = { invalid: "not rendered" };
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
  asked.offset = Math.max(0, (shown?.offset ?? 0) + by * asked.limit);
  tag = "";
  look().then(() => byId("videos-title").scrollIntoView());
};
byId("before").addEventListener("click", turnPage(-1));
byId("after").addEventListener("click", turnPage(1));

// -- runs ----------------------------------------------------------------------------------------------------------------

const FEW_RUNS = 3;

function showRuns(it) {
  const living = it.runs.filter((run) => run.alive).length;
  const few = Math.max(FEW_RUNS, living);
  // those under way first; what says "ago" is made again each time
  const order = [...it.runs.filter((run) => run.alive), ...it.runs.filter((run) => !run.alive)].slice(0, allRuns ? undefined : few);
  const rows = order.map((run) => ({ ...run, workers: undefined, tick: run.alive ? Math.floor(now() / 1000) : 0 }));
  fill(byId("runs"), rows.length ? rows : [{ run: "" }], (run) => run.run, (run) => (run.run ? runRow(run) : el("li", { class: "empty" }, "No run has begun here yet. This page shows it as soon as one does.")));
  byId("runs-title").textContent = it.runs.length ? `Runs: ${living ? `${number(living)} under way, ` : ""}${number(it.runs.length + it.more_runs)} in all` : "Runs";
  const all = byId("all-runs");
  all.hidden = it.runs.length <= few;
  all.textContent = allRuns ? "Show fewer" : `Show all ${plural(it.runs.length, "run")}`;
  const more = byId("more-runs");
  more.hidden = !it.more_runs || !allRuns;
  more.textContent = `and ${plural(it.more_runs, "earlier run")}`;
}

byId("all-runs").addEventListener("click", () => {
  allRuns = !allRuns;
  showRuns(shown);
});

function runRow(run) {
  const title = run.name || run.flow || run.run;
  const state = run.phase === "ended" ? (run.result === "Completed" ? "done" : "failed") : run.phase === "silent" ? "failed" : "rendering";
  const says = run.phase === "ended" ? run.result || "ended" : run.phase === "silent" ? "no sign of life" : phaseText(run);
  const until = Date.parse(run.over ?? new Date(now()).toISOString());
  const facts = [
    `began ${moment(run.began, now())}`, `${seconds((until - Date.parse(run.began)) / 1000)} ${run.alive ? "so far" : "in all"}`,
    run.ends ? `ends ${moment(run.ends, now())}` : "", run.alive ? `heard of ${seconds(Math.max(0, (now() - Date.parse(run.heard)) / 1000))} ago` : "",
    `${plural(run.videos_done, "video")} of ${number(run.videos)}`, `${plural(run.rendered, "frame")} rendered`, run.failed ? `${plural(run.failed, "frame")} failed` : "",
    run.actors ? plural(run.actors, "worker") : "", run.attempt > 1 ? `attempt ${run.attempt}` : "", `priority ${run.priority}`,
  ];
  const requests = run.requests.map((it) => el("div", { class: `request ${it.refused ? "failed" : ""}` }, `${moment(it.at, now())}: ${it.refused ? `${it.kind} ${it.worker}: ${it.refused}` : (SAID[it.kind] ?? (() => it.kind))(it.worker, it.priority)}`));
  return el("li", { class: state },
    el("div", { class: "row" }, link(run.link, title) ?? el("b", { dir: "auto" }, title), badge(state, says), run.flow && run.flow !== title ? el("span", { class: "counts" }, run.flow) : "", run.alive ? priorityForm(run) : ""),
    run.manifest && run.manifest !== title ? el("div", { class: "counts", dir: "auto" }, run.manifest) : null,
    el("span", { class: `amount ${state}` }, bar(run.frames_done, run.frames), el("span", { class: "counts" }, `${number(run.frames_done)} / ${number(run.frames)}`)),
    run.phase === "silent" ? el("p", { class: "reason" }, `No sign of life since ${moment(run.heard, now())}: its process (${run.host}) is gone, or cut off from storage. What it committed stays; a new run goes on from there.`) : null,
    run.message ? el("p", { class: "reason", dir: "auto" }, run.message) : null,
    el("div", { class: "facts" }, ...facts.filter(Boolean).map((text) => el("span", {}, text))), ...requests);
}

function priorityForm(run) {
  const node = el("button", { type: "button", class: "small", "data-name": "priority" }, "Priority");
  node.addEventListener("click", () => {
    const input = el("input", { type: "number", value: run.priority, step: 1, min: -1000000, max: 1000000, "aria-label": "priority: the highest is served first" });
    const set = el("button", { type: "submit" }, "Set");
    const form = el("form", { class: "priority" }, el("label", {}, `Priority of ${run.name || run.run} (the highest is served first) `, input), set);
    const box = notice("", form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.remove();
      ask(run.run, "priority", "", "Priority", Number(input.value));
    });
    input.focus();
  });
  return node;
}

// the link with the key, pasted over the address of a page that is locked, loads nothing anew
window.addEventListener("hashchange", () => {
  clearTimeout(timer);
  begin();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && asked.o) look(); });
begin();
