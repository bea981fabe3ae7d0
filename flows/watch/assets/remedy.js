import { commandToCopy, el, link } from "./dom.js";

// What renders a video whose row can't be rendered as it is, once that is put right.
export function putRight(refused) {
  const run = link(refused.link, refused.run || "its run");
  return el("div", { class: "remedy" },
    el("p", {}, "Put what is missing there, or correct the row", ...(run ? [", then press Retry of ", run, " in Prefect"] : []), refused.command ? `${run ? "; or" : ", then"} run this command:` : "."),
    refused.command ? commandToCopy(refused.command) : null);
}
