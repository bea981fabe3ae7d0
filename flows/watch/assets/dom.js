// What the page's parts share: elements made of text alone (never of markup: ids, prompts and messages come from
// anybody), lists that change without losing focus, numbers and times for people, and requests.

export const byId = (id) => document.getElementById(id);

// An element with properties and children; children are nodes or text. `class` and attributes with "-" are attributes.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class" || name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value === true ? "" : value);
    else node[name] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

// A link to a page of the web; plain text where the address is none.
export function link(address, text) {
  return /^https?:\/\//.test(address ?? "") ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text) : null;
}

const known = new WeakMap();
// Make `parent` hold a node for each item: those that stay are kept, and made again only if their item has changed.
export function fill(parent, items, keyOf, make) {
  const had = known.get(parent) ?? new Map();
  const has = new Map();
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    const text = JSON.stringify(item);
    const old = had.get(key);
    let node = old?.node;
    if (!old || old.text !== text) {
      const focused = node?.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
      const made = make(item);
      if (node) node.replaceWith(made);
      node = made;
      if (focused) node.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
    }
    has.set(key, { node, text });
    const next = before ? before.nextSibling : parent.firstChild;
    if (next !== node) parent.insertBefore(node, next);
    before = node;
  }
  for (const [key, { node }] of had) if (!has.has(key)) node.remove();
  known.set(parent, has);
}

// -- numbers and times -------------------------------------------------------------------------------------------------

export const number = (value) => value.toLocaleString("en");
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function seconds(value) {
  if (!Number.isFinite(value) || value < 0) return "–";
  if (value < 9.95) return value < 0.05 ? "0 s" : `${value.toFixed(value < 1 ? 2 : 1)} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 && whole < 600 ? ` ${whole % 60} s` : ""}`;
  const minutes = Math.round(value / 60);
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  const hours = Math.round(value / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
// 14:32, or 3 Dec, 14:32 on another day; in the time zone of whoever looks.
export function moment(text, now) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return "–";
  return (date.toDateString() === new Date(now).toDateString() ? CLOCK : DAY).format(date);
}

export const percent = (done, all) => (all ? Math.min(100, Math.floor((100 * done) / all)) : 0);

export function bar(done, all, what = "frames") {
  const text = `${number(done)} of ${number(all)} ${what}`;
  return el("meter", { class: "bar", min: 0, max: all || 1, value: Math.min(done, all || 1), "aria-label": text });
}

export const badge = (state, text = state) => el("span", { class: `badge ${state}` }, text);

// A button that can't be pressed again before it has done what it does; `name` finds it again when its list is refilled.
export function button(text, act, name, kind = "") {
  const node = el("button", { type: "button", class: name === "name" ? "plain name" : kind, "data-name": name }, text);
  node.addEventListener("click", async () => {
    node.disabled = true;
    try { await act(); } finally { node.disabled = false; }
  });
  return node;
}

// -- requests ----------------------------------------------------------------------------------------------------------

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function failure(response) {
  let message = `the page's server answered ${response.status}`;
  try {
    const body = await response.json();
    if (typeof body.error === "string") message = body.error;
    else if (typeof body.detail === "string") message = body.detail;
    else if (Array.isArray(body.detail)) message = body.detail.map((it) => `${it.loc?.at(-1)}: ${it.msg}`).join("; ");
  } catch { /* no JSON: the status says it */ }
  return new Refused(response.status, message);
}

export async function get(path, options = {}) {
  const response = await fetch(`api/${path}`, options);
  if (!response.ok && response.status !== 304) throw await failure(response);
  return response;
}

export async function post(path, body) {
  const response = await fetch(`api/${path}`, {
    method: "POST", headers: { "Content-Type": "application/json", "X-Nightreel": "1" }, body: JSON.stringify(body),
  });
  if (!response.ok) throw await failure(response);
  return response.json();
}

export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== undefined)).toString();

// -- notices -----------------------------------------------------------------------------------------------------------

const READ_MS = 10000; // a notice that asks for nothing leaves by itself

export function notice(kind, ...content) {
  const close = el("button", { type: "button", class: "plain", "aria-label": "close this notice" }, "×");
  const node = el("div", { class: `notice ${kind}` }, el("div", {}, ...content), close);
  close.addEventListener("click", () => node.remove());
  const open = document.querySelector("dialog[open] .notices") ?? byId("notices");
  open.append(node);
  return node;
}

// One that leaves after some seconds, unless somebody is at it.
export function passing(kind, ...content) {
  const node = notice(kind, ...content);
  const leave = () => (node.matches(":hover, :focus-within") ? setTimeout(leave, READ_MS) : node.remove());
  setTimeout(leave, READ_MS);
  return node;
}

// A command, and a button that copies it.
export function commandToCopy(command) {
  const copy = el("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
  });
  return el("div", { class: "command" }, el("code", { dir: "ltr" }, command), copy);
}

const chosenText = (frames, video) => (/^\d/.test(frames) ? `${/^\d+$/.test(frames) ? "frame" : "frames"} ${frames} of ${video}` : `${frames} frames of ${video}`);

// Ask for frames again, and say what came of it; returns the answer if a run was begun.
export async function rerun(output, video, frames, options = {}) {
  try {
    const answer = await post("rerun", { output, video, frames, ...options });
    if (answer.name !== undefined) {
      const all = answer.again ? ` (${plural(answer.again, "frame")} in all${options.after === "until-same" ? " at most" : ""})` : "";
      const name = answer.name || "begun";
      passing("good", `Asked for: ${chosenText(frames, video)} ${/^\d+$/.test(frames) ? "is" : "are"} rendered again${all}: `, link(answer.link, name) ?? el("b", {}, name));
      return answer;
    }
    const why = answer.error ?? "No Prefect server is known here, so nothing was begun.";
    notice(answer.error ? "bad" : "", el("p", { dir: "auto" }, why, " This command does it:"), commandToCopy(answer.command));
  } catch (error) {
    notice("bad", el("p", { dir: "auto" }, error.message));
  }
  return null;
}
