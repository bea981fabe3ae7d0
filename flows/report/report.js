// Filter, sort, deep links and posters of players. The page is complete without: `details` opens by itself.
(() => {
  "use strict";
  const stale = document.querySelector(".stale");
  if (stale) {
    const minutes = Math.round((Date.now() - Date.parse(document.querySelector(".live time").dateTime)) / 60000);
    const age = minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
    stale.textContent = `That was ${age} ago, and the run had not ended: load the page again, or find out what became of it.`;
    stale.hidden = minutes < 5;
  }
  const grid = document.querySelector(".grid");
  if (!grid) return;
  const cards = [...grid.children];
  const tools = document.querySelector(".tools");
  const find = tools.querySelector("input[type=search]");
  const sort = tools.querySelector("select");
  const rank = { invalid: 0, failed: 1, missing: 2, rendering: 3, waiting: 4, done: 5 };
  const problems = document.querySelector(".problems");
  const text = new Map(cards.map((card) => [card, card.querySelector(".about").textContent.toLowerCase()]));
  const number = (card, name, otherwise) => (name in card.dataset ? Number(card.dataset[name]) : otherwise);
  const orders = {
    number: () => 0,
    name: (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
    state: (a, b) => rank[a.dataset.state] - rank[b.dataset.state],
    loss: (a, b) => number(a, "loss", Infinity) - number(b, "loss", Infinity) || 0,
    seconds: (a, b) => number(b, "seconds", 0) - number(a, "seconds", 0),
  };

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = tools.elements.state.value;
    let shown = 0;
    for (const card of cards) {
      const fits = (!state || (state === "review" ? "review" in card.dataset : card.dataset.state === state)) && words.every((word) => text.get(card).includes(word));
      card.hidden = !fits;
      shown += fits;
    }
    const bad = state === "bad-rows"; // no videos, but the list of rows
    if (problems) problems.classList.toggle("chosen", bad);
    document.querySelector(".nothing").hidden = shown > 0 || bad;
    tools.querySelector("output").textContent = `${shown} of ${cards.length} shown`;
  };
  const arrange = () => grid.append(...cards.sort((a, b) => orders[sort.value](a, b) || a.dataset.number - b.dataset.number));

  const follow = () => {
    const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!card || !card.matches(".card")) return;
    if (card.hidden) { tools.reset(); filter(); arrange(); }
    card.open = true;
    card.scrollIntoView({ block: "start" });
  };

  tools.hidden = false;
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => (event.target === sort ? arrange() : filter()));
  // `toggle` does not bubble, so it is caught on its way down.
  grid.addEventListener("toggle", ({ target: card }) => {
    const video = card.querySelector("video");
    if (!video) return;
    const poster = card.querySelector(".poster img");
    if (poster) video.poster = poster.src; // the picture is in the page once, not twice
    if (!card.open) video.pause();
  }, true);
  addEventListener("hashchange", follow);
  for (const list of document.querySelectorAll(".incomplete, .slowest tbody")) {
    list.addEventListener("click", () => setTimeout(follow)); // the same link again
  }
  if (location.hash) follow();
})();
