// What failed: by video, with the reasons, the logs, and what renders it again.
import { badge, button, byId, el, fill, link, number, plural, rerun } from "./dom.js";
import { openGrid } from "./grid.js";
import { putRight } from "./remedy.js";
import { asked, page } from "./state.js";

const FEW = 4; // videos with failures that leave the workers in sight
let allFailures = false;

const AGAIN_MS = 20000; // until the run that was asked for has written down what it does
const askedFor = new Map(); // when frames of a video were asked for

export function showFailures(it) {
  const { videos, frames, bad_rows: bad } = it.failed;
  byId("failures").hidden = !it.failures.length && !bad;
  const parts = [];
  if (videos || frames) parts.push([videos && `${plural(videos, "video")} failed`, frames && (videos ? `with ${plural(frames, "frame")}` : `${plural(frames, "frame")} failed`)].filter(Boolean).join(", "));
  const again = it.failures.filter((group) => group.again).length;
  if (again) parts.push(`${plural(again, "video")} tried again`);
  if (bad) parts.push(plural(bad, "bad row"));
  byId("failures-title").textContent = parts.join("; ");
  const groups = it.failures.map((group) => ({ ...group, asked: Date.now() - (askedFor.get(group.video) ?? 0) < AGAIN_MS }));
  fill(byId("failed"), allFailures ? groups : groups.slice(0, FEW), (group) => group.video, failedRow);
  const all = byId("all-failures");
  all.hidden = groups.length <= FEW;
  all.textContent = allFailures ? "Show fewer" : `Show all ${plural(groups.length, "video")} with failures`;
  const more = byId("more-failures");
  more.hidden = !it.more_failures || !allFailures;
  more.textContent = `and ${plural(it.more_failures, "more video")}: the filter “failed” below lists them all`;
  byId("bad-rows").hidden = !bad;
  byId("bad-rows-title").textContent = `${plural(bad, "row")} that can't be read, and so no video${bad > it.problems.length ? `; the first ${plural(it.problems.length, "problem")}` : ""}`;
  fill(byId("problems"), it.problems, (row) => row.place + row.video + row.message, (row) =>
    el("li", {}, row.video ? el("b", { dir: "auto" }, row.video) : "", el("span", { class: "counts" }, row.place), el("span", { class: "reason", dir: "auto" }, row.message),
      row.allowed ? el("span", { class: "counts", dir: "auto" }, `allowed: ${row.allowed}`) : ""));
}

async function askAgain(group, frames) {
  askedFor.set(group.video, Date.now());
  showFailures(page.shown);
  if (!await rerun(asked.o, group.video, frames)) askedFor.delete(group.video); // nothing was begun
  showFailures(page.shown);
}

byId("all-failures").addEventListener("click", () => {
  allFailures = !allFailures;
  showFailures(page.shown);
});

function failedRow(group) {
  const open = button(group.video, () => openGrid(asked.o, group.video, group.items[0]?.frame ?? 0), "name");
  const again = group.frames ? button(group.count === 1 ? `Re-run frame ${group.frames}` : `Re-run ${number(group.count || 1)} failed`, () => askAgain(group, group.frames), "again") : null;
  const lacking = button("Re-run all that is missing", () => askAgain(group, "missing"), "missing");
  const head = el("div", { class: "row" }, open,
    el("span", { class: "counts" }, group.refused ? "can't be rendered as its row is written" : group.frames ? `frame${group.count === 1 ? "" : "s"} ${group.frames}` : group.items.length ? "the video itself" : ""),
    group.again ? badge("waiting", "tried again") : badge("failed"),
    group.again || group.refused ? "" : group.asked ? el("span", { class: "acts counts" }, "asked for …") : el("span", { class: "acts" }, again, lacking)); // what its run still tries is not begun a second time
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
  if (group.refused) list.push(putRight(group.refused));
  return el("li", { class: "failed" }, head, ...list);
}
