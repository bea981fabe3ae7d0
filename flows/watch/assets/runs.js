// The runs of the output and their workers: what each is doing, and what a person may ask of them.
import { badge, bar, button, byId, el, fill, link, moment, notice, number, passing, plural, post, seconds } from "./dom.js";
import { openGrid } from "./grid.js";
import { asked, now, page } from "./state.js";

const FEW_WORKERS = 8;
let allRuns = false;
let allWorkers = false;

export function showWorkers(living) {
  const workers = living.flatMap((run) => run.workers.map((worker) => ({ ...worker, run: run.run, name: living.length > 1 ? run.name || run.run : "", phase: run.phase, only: only(run, worker) }))).map(late);
  byId("now").hidden = !living.length;
  const busy = workers.filter((worker) => worker.busy).length;
  byId("now-title").textContent = workers.length ? `Workers: ${number(busy)} of ${number(workers.length)} drawing` : none(living);
  // those that draw come first, so that what is folded away is what waits
  const shown = allWorkers ? workers : [...workers.filter((it) => it.busy), ...workers.filter((it) => !it.busy)].slice(0, FEW_WORKERS);
  const all = byId("all-workers");
  all.hidden = workers.length <= FEW_WORKERS;
  all.textContent = allWorkers ? "Show fewer" : `Show all ${plural(workers.length, "worker")}`;
  fill(byId("workers"), shown, (worker) => `${worker.run}/${worker.worker}`, workerCard);
}

const SILENT_MS = 20000; // a process that is busy with other things answers late
const quiet = new Map(); // since when each worker has not answered

function late(it) {
  const name = `${it.run}/${it.worker}`;
  if (it.state !== "silent") quiet.delete(name);
  else if (!quiet.has(name)) quiet.set(name, Date.now());
  return it.state === "silent" && Date.now() - quiet.get(name) < SILENT_MS ? { ...it, state: "late" } : it;
}

// Whether nobody else of its run draws or could.
const AWAY = ["drained", "draining", "silent"];
const only = (run, worker) => run.workers.every((it) => it.worker === worker.worker || AWAY.includes(it.state));

function drain(it) {
  if (!it.only) return ask(it.run, "drain", it.worker, "Drain");
  const sure = button("Drain it", () => { box.remove(); return ask(it.run, "drain", it.worker, "Drain"); }, "sure");
  const box = notice("", el("p", {}, `${it.worker} is its run's only worker: another is started only where a place is free. Without one the run waits until you press “Allow again”.`),
    el("p", { class: "acts" }, sure, button("Leave it", () => box.remove(), "leave")));
  boxes.get(it.run)?.remove();
  boxes.set(it.run, box);
  sure.focus();
  return null;
}

function none(living) {
  if (living.length && living.every((run) => run.frames && run.frames_done >= run.frames)) return "Workers: none any more, every frame is drawn";
  return living.some((run) => run.phase === "starting") ? "Workers: none yet, they are starting" : "Workers: none now";
}

byId("all-workers").addEventListener("click", () => {
  allWorkers = !allWorkers;
  showWorkers(page.shown.runs.filter((run) => run.alive));
});

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
    it.busy ? el("div", { class: "drawing" }, button(`${it.video}, frame ${number(it.frame)}`, () => openGrid(asked.o, it.video, it.frame), "name")) : el("div", { class: "drawing counts" }, (it.state === "starting" && it.process ? "loads its model" : MEANING[it.state]) ?? "waits for work"),
    it.busy ? bar(it.step, it.steps, "steps") : null,
    el("div", { class: "facts" }, ...facts.filter(Boolean).map((text) => el("span", { dir: "auto" }, text))),
    el("div", { class: "facts" }, it.process && it.process !== it.worker ? el("span", {}, it.process) : "", it.name ? el("span", { dir: "auto" }, it.name) : ""),
    el("div", { class: "acts" }, ...acts.map(([kind, text]) => button(text, () => (kind === "drain" ? drain(it) : ask(it.run, kind, it.worker, text)), kind))));
}

const WORKER = { rendering: "rendering", preparing: "preparing", idle: "idle", starting: "starting", quarantined: "quarantined", draining: "draining", drained: "drained", silent: "no answer", late: "answers late" };
const MEANING = {
  idle: "waits for work", starting: "its process is starting", quarantined: "failed what others can do", drained: "has given its place back",
  draining: "leaves now", silent: "its process does not answer", late: "has not answered within a second",
};
const SAID = {
  drain: (worker) => `${worker} finishes its frame, then leaves`, restart: (worker) => `${worker} is restarted; its frame is drawn again`,
  allow: (worker) => `${worker} may work again`, priority: (_, priority) => `the priority becomes ${priority}`,
};

async function ask(run, kind, worker, text, priority) {
  try {
    await post("ask", { output: asked.o, run, kind, worker, ...(priority === undefined ? {} : { priority }) });
    passing("", `${text ?? kind}: asked for. The run hears it within seconds; below, under Runs, it says what it did.`);
  } catch (error) {
    notice("bad", el("p", { dir: "auto" }, error.message));
  }
}

const FEW_RUNS = 3;
const boxes = new Map(); // what a person is being asked of a run; of one that has ended there is nothing to ask

export function showRuns(it) {
  const living = it.runs.filter((run) => run.alive).length;
  const few = Math.max(FEW_RUNS, living);
  // those under way first; what says "ago" is made again each time
  for (const [run, box] of boxes) if (!box.isConnected || !it.runs.some((each) => each.run === run && each.alive)) { box.remove(); boxes.delete(run); }
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
  showRuns(page.shown);
});

function runRow(run) {
  const title = run.name || run.flow || run.run;
  const state = run.phase === "ended" ? run.ended_as : run.phase === "silent" ? "failed" : "rendering";
  const says = run.phase === "ended" ? run.ending || "ended" : run.phase === "silent" ? "no sign of life" : run.phase;
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
    boxes.get(run.run)?.remove();
    const box = notice("", form);
    boxes.set(run.run, box);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.remove();
      ask(run.run, "priority", "", "Priority", Number(input.value));
    });
    input.focus();
  });
  return node;
}
