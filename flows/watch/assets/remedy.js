import { commandToCopy, el, link } from "./dom.js";

// What renders a video whose row can't be rendered as it is, once that is put right.
export function putRight(refused) {
  const run = link(refused.link, refused.run || "its run");
  return el("div", { class: "remedy" },
    el("p", {}, "Once that is put right, ", ...(run ? ["press Retry of ", run, ` in Prefect${refused.alive ? ", when it has ended" : ""}`] : []), refused.command ? `${run ? ", or " : ""}run this command:` : run ? "." : "render its manifest again."),
    refused.command ? commandToCopy(refused.command) : null);
}
