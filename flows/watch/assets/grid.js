// The frames of one video: a cell for each, coloured by its state. A click shows the frame; a drag, or a click with Shift,
// chooses a range, one with Ctrl adds; what is chosen can be rendered again.
import { badge, byId, el, get, link, moment, number, plural, post, query, rerun, seconds } from "./dom.js";
import { putRight } from "./remedy.js";
import { now } from "./state.js";

const COUNT = 600;
const EVERY = 5000;
const WORDS = { d: "done", m: "missing", f: "failed", r: "rendering", a: "to be rendered again" };
const SAID_MS = 4000; // for which a button says what was asked for
let workers = [];
let runs = [];
let open = null; // { output, video, start, page, chosen, anchor, frame, timer, nodes }

export function overlay(all) {
  runs = all;
  workers = all.filter((run) => run.alive).flatMap((run) => run.workers);
  if (!open?.page) return;
  forget();
  paint();
  follow();
}

// What was asked for is done where it was drawn since, and where the run that was begun for it has ended.
function forget() {
  if (!open.again.size) return;
  for (const it of workers) if (it.busy && it.video === open.video) for (const frame of open.again) if (frame < it.frame) open.again.delete(frame);
  const since = runs.filter((run) => Date.parse(run.began) >= open.askedAt);
  if (since.length && since.every((run) => !run.alive)) open.again.clear();
}

export async function openGrid(output, video, frame = null) {
  const dialog = byId("grid");
  close();
  open = { output, video, start: frame === null ? 0 : Math.floor(frame / COUNT) * COUNT, page: null, chosen: new Set(), anchor: null, frame, cells: new Map(), pictures: false, details: "", again: new Set(), askedAt: 0, pending: "", counted: null };
  build(dialog);
  if (!dialog.open) dialog.showModal();
  await read();
  if (open && frame !== null && open.page) details(frame);
}

function close() {
  if (open) clearTimeout(open.timer);
  open = null;
}

function button(text, act, name) {
  const node = el("button", { type: "button", id: name }, text);
  node.addEventListener("click", act);
  return node;
}

function build(dialog) {
  const leave = button("Close", () => dialog.close(), "grid-close");
  const options = el("span", { class: "options" },
    el("label", {}, "frames after them ", el("select", { id: "grid-after" }, el("option", { value: "re-render" }, "are rendered again"), el("option", { value: "keep" }, "stay"), el("option", { value: "until-same" }, "again until they are the same"))),
    el("label", {}, "another seed ", el("input", { id: "grid-seed", type: "number", min: 0, step: 1, placeholder: "the same" })));
  dialog.classList.remove("short");
  dialog.replaceChildren(
    el("header", {}, el("h2", { id: "grid-title", dir: "auto" }, open.video), leave),
    el("p", { id: "grid-prompt", class: "counts", dir: "auto" }),
    el("div", { id: "grid-legend", class: "legend" }),
    el("div", { id: "grid-why", class: "why-refused", hidden: true }),
    el("div", { id: "grid-chooser", class: "chooser" },
      button("Choose the failed", () => choose(open.page.failed), "grid-failed"), button("Choose the missing", () => choose(open.page.missing), "grid-missing"), button("None", () => choose([]), "grid-none"),
      el("label", { class: "check" }, el("input", { type: "checkbox", id: "grid-pictures" }), "pictures"),
      el("label", { class: "check" }, el("input", { type: "checkbox", id: "grid-several" }), "each click adds one"),
      el("span", { class: "counts" }, "drag, or Shift and click, for several")),
    el("div", { class: "halves" },
      // what comes and goes lies below the cells: they stay where they are under a pointer that is held
      el("div", {}, el("div", { id: "cells", class: "cells", role: "group", "aria-label": "frames" }), el("nav", { id: "grid-pages", class: "pages", hidden: true }, button("Earlier", () => page(-1), "grid-before"), el("span", { id: "grid-place" }), button("Later", () => page(1), "grid-later")), el("p", { id: "grid-trouble", class: "trouble", role: "alert", hidden: true })),
      el("div", { id: "frame", class: "frame" }, el("p", { class: "counts" }, "A click on a frame shows it here."))),
    el("footer", { id: "grid-acts", class: "grid-acts" }, el("b", { id: "grid-chosen" }), options, button("Re-run", again, "grid-again")),
    el("div", { class: "notices", role: "status", "aria-live": "polite" }));
  for (const id of ["grid-after", "grid-seed"]) byId(id).addEventListener("input", () => { if (open.page) paint(); });
  byId("grid-pictures").addEventListener("change", (event) => { open.pictures = event.target.checked; draw(); });
  const cells = byId("cells");
  cells.addEventListener("pointerdown", press);
  cells.addEventListener("pointerover", drag);
  cells.addEventListener("click", (event) => { if (event.detail === 0 && event.target.closest(".cell")) pick(event, Number(event.target.closest(".cell").dataset.frame)); }); // the keyboard's
  cells.addEventListener("keydown", walk);
  dialog.onclose = close;
}

async function read() {
  const mine = open;
  clearTimeout(mine.timer);
  try {
    mine.page = await (await get(`video?${query({ o: mine.output, video: mine.video, start: mine.start, count: COUNT })}`)).json();
    if (mine !== open) return;
    mine.start = mine.page.start;
    byId("grid-trouble").hidden = true;
    draw();
    follow();
  } catch (error) {
    if (mine !== open) return;
    byId("grid-trouble").textContent = error.message;
    byId("grid-trouble").hidden = false;
  }
  mine.timer = setTimeout(read, document.hidden ? 10 * EVERY : EVERY);
}

function page(by) {
  open.start = Math.max(0, open.start + by * COUNT);
  read();
}

const letter = (frame) => {
  if (workers.some((it) => it.busy && it.video === open.video && it.frame === frame)) return "r";
  return open.again.has(frame) ? "a" : open.page.states[frame - open.page.start];
};

function draw() {
  if (pressed !== null || !open.page) return; // the cells stay under the pointer; what was read is drawn when it is let go
  const { page: it } = open;
  byId("grid-prompt").textContent = [it.prompt, [it.size, it.model].filter(Boolean).join(", ")].filter(Boolean).join(" · ");
  legend();
  refused(it.refused);
  byId("grid-failed").disabled = !it.failed.length;
  byId("grid-missing").disabled = !it.missing.length;
  byId("grid-pages").hidden = it.frames <= COUNT;
  byId("grid-place").textContent = `frames ${number(it.start)} to ${number(it.start + it.states.length - 1)} of ${number(it.frames)}`;
  byId("grid-before").disabled = it.start === 0;
  byId("grid-later").disabled = it.start + it.states.length >= it.frames;
  const frames = [...it.states].map((_, index) => it.start + index);
  if (open.cells.size !== frames.length || !open.cells.has(it.start) || !byId("cells").childElementCount) {
    open.cells = new Map(frames.map((frame) => [frame, el("button", { type: "button", class: "cell", "data-frame": String(frame), tabIndex: -1 }, el("span", {}, String(frame)))]));
    byId("cells").replaceChildren(...open.cells.values());
    if (frames.length) open.cells.get(frames[0]).tabIndex = 0;
  }
  paint();
}

// How many frames are what; a count of none has no colour.
function legend() {
  const { page: it } = open;
  const drawn = workers.filter((each) => each.busy && each.video === open.video).length;
  const again = open.again.size;
  const chips = [["done", it.counts.done, "done"], ["missing", it.counts.missing, "missing"], ["failed", it.counts.failed, "failed"], ["waiting", again, "to be rendered again"], ["rendering", drawn, "being drawn"]];
  const named = it.refused ? [badge("failed", "can't be rendered as its row is written")]
    : chips.filter(([state, count]) => count || !["rendering", "waiting"].includes(state)).map(([state, count, text]) => badge(count ? state : "none", `${number(count)} ${text}`));
  byId("grid-legend").replaceChildren(...named,
    it.refused ? "" : el("span", { class: "counts", dir: "auto" }, it.published ? `published: ${it.published}` : "not published yet"),
    it.published && /\.(mp4|webm|gif|webp|png)$/.test(it.published) ? button("Play", play, "grid-play") : "",
    it.plan || it.refused ? "" : el("span", { class: "counts" }, "its plan can't be read here: this is what lies there"));
}

// Why a video has no frames to choose from, and what to do.
function refused(why) {
  for (const id of ["grid-chooser", "grid-acts"]) byId(id).hidden = Boolean(why) && !open.page.frames;
  byId("grid").classList.toggle("short", Boolean(why) && !open.page.frames);
  if (!why || open.told === why.reason) return;
  open.told = why.reason;
  byId("frame").replaceChildren();
  byId("grid-why").replaceChildren(el("p", { class: "reason", dir: "auto" }, why.reason), putRight(why));
  byId("grid-why").hidden = false;
}

function paint() {
  if (pressed === null) legend();
  byId("cells").classList.toggle("with-pictures", open.pictures);
  for (const [frame, node] of open.cells) {
    const state = letter(frame);
    const chosen = open.chosen.has(frame);
    node.className = `cell ${state}${chosen ? " chosen" : ""}${open.frame === frame ? " current" : ""}`;
    node.setAttribute("aria-pressed", chosen);
    node.setAttribute("aria-label", `frame ${frame}, ${WORDS[state] ?? state}`);
    node.title = `frame ${frame}: ${WORDS[state] ?? state}`;
    const digest = open.page.digests[frame - open.page.start];
    const wanted = open.pictures && "da".includes(state) && digest ? source("thumbnail", frame, digest) : "";
    const has = node.querySelector("img");
    if (!wanted) has?.remove();
    else if (!has || has.getAttribute("src") !== wanted) {
      has?.remove();
      node.prepend(el("img", { alt: "", loading: "lazy", src: wanted, class: "crisp", draggable: false }));
    }
  }
  const count = open.chosen.size;
  const named = count ? `${plural(count, "frame")}: ${ranges()}` : "No frame chosen";
  byId("grid-chosen").textContent = named;
  byId("grid-chosen").title = named;
  byId("grid-again").textContent = open.pending || (count ? `Re-run ${plural(count, "frame")}${more()}` : "Re-run");
  byId("grid-again").disabled = !count || Boolean(open.pending);
}

const source = (kind, frame, digest) => `api/${kind}?${query({ o: open.output, video: open.video, frame, digest })}`;

// -- choosing ------------------------------------------------------------------------------------------------------------

let pressed = null;
for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, () => {
    if (pressed === null) return;
    pressed = null;
    if (open?.page) draw();
  });
}

function press(event) {
  const cell = event.target.closest(".cell");
  if (!cell || event.button !== 0) return;
  event.preventDefault();
  cell.releasePointerCapture?.(event.pointerId); // a finger's: the other cells must hear of the drag
  const frame = Number(cell.dataset.frame);
  pressed = frame;
  pick(event, frame);
  cell.focus({ preventScroll: true });
}

function drag(event) {
  const cell = event.target.closest(".cell");
  if (pressed === null || !cell || !(event.buttons & 1)) return;
  range(pressed, Number(cell.dataset.frame));
  paint();
}

function pick(event, frame) {
  if (event.shiftKey && open.anchor !== null) range(open.anchor, frame);
  else if (event.ctrlKey || event.metaKey || byId("grid-several").checked) {
    if (!open.chosen.delete(frame)) open.chosen.add(frame);
    open.anchor = frame;
  } else {
    open.chosen = new Set([frame]);
    open.anchor = frame;
  }
  details(frame);
  paint();
}

function range(from, to) {
  open.chosen = new Set();
  for (let frame = Math.min(from, to); frame <= Math.max(from, to); frame++) open.chosen.add(frame);
}

function choose(frames) {
  open.chosen = new Set(frames);
  paint();
}

function walk(event) {
  const cell = event.target.closest(".cell");
  const across = Math.max(1, Math.round(byId("cells").clientWidth / (cell?.offsetWidth + 3 || 1)));
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  const next = cell && by && open.cells.get(Number(cell.dataset.frame) + by);
  if (!next) return;
  event.preventDefault();
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  if (event.shiftKey) { range(open.anchor ?? Number(cell.dataset.frame), Number(next.dataset.frame)); paint(); }
}

function ranges() {
  const frames = [...open.chosen].sort((a, b) => a - b);
  const parts = [];
  for (const frame of frames) {
    const last = parts.at(-1);
    if (last && last[1] === frame - 1) last[1] = frame;
    else parts.push([frame, frame]);
  }
  return parts.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(",");
}

const options = () => {
  const seed = byId("grid-seed").value;
  return { after: byId("grid-after").value, ...(seed === "" ? {} : { seed: Number(seed) }) };
};

// " (7 with those after, and 12 of 2 videos that continue it)": what is rendered besides what was chosen, by the
// re-run's own rule.
function more() {
  const asks = JSON.stringify([ranges(), options()]);
  if (open.counted?.asks !== asks) {
    clearTimeout(open.counting);
    if (pressed === null) open.counting = setTimeout(() => count(open, asks), 150);
    return "";
  }
  const { again, branches } = open.counted;
  if (again === null) return "";
  const parts = [];
  const most = options().after === "until-same" ? "up to " : "";
  if (again !== open.chosen.size) {
    parts.push(`${most}${number(again)} with ${again > open.chosen.size && options().after !== "keep" ? "those after" : "what is missing"}`);
  }
  const others = Object.values(branches ?? {});
  if (others.length) {
    const frames = others.reduce((sum, count) => sum + count, 0);
    const whose = others.length > 1 ? `${number(others.length)} videos that continue it` : `${Object.keys(branches)[0]}, which continues it`;
    parts.push(`${parts.length ? "and " : `with ${most}`}${number(frames)} of ${whose}`);
  }
  return parts.length ? ` (${parts.join(", ")})` : "";
}

async function count(mine, asks) {
  if (mine !== open || !mine.chosen.size) return;
  const [frames, given] = JSON.parse(asks);
  try {
    mine.counted = { asks, ...await post("again", { output: mine.output, video: mine.video, frames, ...given }) };
  } catch {
    mine.counted = { asks, again: null }; // the re-run itself says what is wrong
  }
  if (mine === open) paint();
}

async function again() {
  const mine = open;
  const frames = ranges();
  mine.pending = "Asking …";
  mine.askedAt = now() - 5000; // clocks differ
  paint();
  const answer = await rerun(mine.output, mine.video, frames, options());
  mine.pending = answer ? `Asked for ${frames.length > 24 ? plural(mine.chosen.size, "frame") : frames}` : "";
  if (mine !== open) return;
  if (answer) {
    for (const [first, last] of spans(answer.frames || frames)) for (let frame = first; frame <= last; frame++) mine.again.add(frame);
    mine.counted = null;
    choose([]);
  } else paint();
  setTimeout(() => {
    mine.pending = "";
    if (mine === open) { paint(); read(); }
  }, SAID_MS);
}

const spans = (text) => text.split(",").map((part) => part.split("-").map(Number)).map(([first, last = first]) => [first, last]);

// -- one frame -----------------------------------------------------------------------------------------------------------

// What was read last says of a frame, of its object and of who draws it; undefined where it is on another page.
const stands = (frame) => (open.page.states[frame - open.page.start] ? `${letter(frame)} ${open.page.states[frame - open.page.start]} ${open.page.digests[frame - open.page.start] ?? ""}` : undefined);

// The frame that is shown came, failed, was begun or left since: it is shown anew.
function follow() {
  if (open.shown !== undefined && stands(open.frame) !== undefined && open.shown !== stands(open.frame)) details(open.frame);
}

// The finished video, where the frame is shown: moving pictures play by themselves.
function play() {
  const { output, video, page: { published } } = open;
  const src = `api/film?${query({ o: output, video, at: published })}`;
  open.frame = null;
  open.shown = undefined;
  paint();
  const film = /\.(mp4|webm)$/.test(published)
    ? el("video", { class: "screen crisp", id: "grid-film", controls: true, autoplay: true, playsInline: true, src, "aria-label": video })
    : el("img", { class: "screen crisp", id: "grid-film", src, alt: video });
  byId("frame").replaceChildren(el("h3", {}, "The video"), film);
}

async function details(frame) {
  const mine = open;
  mine.frame = frame;
  mine.shown = stands(frame);
  paint();
  const box = byId("frame");
  let it;
  try {
    it = await (await get(`frame?${query({ o: mine.output, video: mine.video, frame })}`)).json();
  } catch (error) {
    if (mine === open && mine.frame === frame) box.replaceChildren(el("p", { class: "reason", dir: "auto" }, error.message));
    return;
  }
  if (mine !== open || mine.frame !== frame) return;
  const state = letter(frame) === "r" ? "r" : it.state;
  const worker = workers.find((each) => each.busy && each.video === mine.video && each.frame === frame);
  const picture = it.state === "d" ? el("a", { href: source("picture", frame, it.digest), target: "_blank", rel: "noopener" }, el("img", { class: "screen crisp", alt: `frame ${frame}`, src: source("picture", frame, it.digest) })) : null;
  box.replaceChildren(...[
    el("h3", {}, `Frame ${number(frame)} `, badge(WORDS[state], state === "r" ? "being drawn" : WORDS[state])),
    worker ? el("p", { class: "counts" }, `on ${worker.worker}: step ${worker.step} of ${worker.steps}`) : null,
    it.damaged ? el("p", { class: "reason", dir: "auto" }, it.damaged) : null,
    picture,
    ...it.attempts.slice().reverse().map((each) => el("div", { class: "attempt failed" },
      el("p", { class: "why", dir: "auto" }, each.message),
      el("p", { class: "counts" }, [`attempt ${each.attempt}`, each.kind, `on ${each.worker}`, `after ${seconds(each.seconds)}`, moment(each.when, Date.now())].join(" · "), " ", link(each.log, "log")))),
    it.state !== "d" && !it.attempts.length ? el("p", { class: "counts" }, state === "r" ? "" : "Not rendered yet; no attempt has failed.") : null,
    it.provenance ? el("details", { class: "provenance" }, el("summary", {}, "provenance"), el("pre", { dir: "ltr" }, it.provenance)) : null,
  ].filter(Boolean));
}
