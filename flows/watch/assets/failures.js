// What failed: by video, with the reasons, the logs, and what renders it again.
import { badge, button, byId, el, fill, link, number, plural, rerun } from "./dom.js";
import { openGrid } from "./grid.js";
import { asked, page } from "./state.js";

const FEW = 4; // videos with failures that leave the workers in sight
let allFailures = false;

export const failedFrames = (it) => it.failures.reduce((sum, group) => sum + Math.max(group.count, group.items.length), 0);

export function showFailures(it) {
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
  showFailures(page.shown);
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
