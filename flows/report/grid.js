// Which axis goes down and which across. The page is complete without.
(() => {
  "use strict";
  const made = (name, text, more = {}) => {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
    return element;
  };
  for (const section of document.querySelectorAll(".combos")) {
    const turn = section.querySelector(".turn");
    if (!turn) continue;
    const axes = [...section.querySelectorAll(".axis")].map((list) => ({
      name: list.dataset.name,
      values: [...list.children].map((item) => item.textContent),
    }));
    const tiles = [...section.querySelectorAll(".tile")].map((tile) => ({ tile, at: tile.dataset.at.split(" ").map(Number) }));
    const [down, across] = [turn.querySelector(".down"), turn.querySelector(".across")];
    let last = [down.value, across.value];

    const table = (part, d, a) => {
      const board = made("div", "", { class: "board", tabindex: "0" });
      const head = made("tr");
      head.append(made("th", `${axes[d].name} ↓ ${axes[a].name} →`, { class: "corner", dir: "auto" }));
      for (const value of axes[a].values) head.append(made("th", value, { scope: "col", dir: "auto" }));
      const rows = axes[d].values.map((value) => {
        const row = made("tr");
        row.append(made("th", value, { scope: "row", dir: "auto" }));
        for (let column = 0; column < axes[a].values.length; column++) {
          const cell = made("td");
          cell.append(made("div", "", { class: "cells" }));
          row.append(cell);
        }
        return row;
      });
      for (const { tile, at } of part) rows[at[d]].children[at[a] + 1].firstChild.append(tile);
      const [whole, top, body] = [made("table"), made("thead"), made("tbody")];
      top.append(head);
      body.append(...rows);
      whole.append(top, body);
      board.append(whole);
      return board;
    };

    const arrange = () => {
      const [d, a] = [Number(down.value), Number(across.value)];
      const apart = axes.map((_, place) => place).filter((place) => place !== d && place !== a);
      const parts = new Map();
      for (const it of tiles) {
        const key = apart.map((place) => String(it.at[place]).padStart(9, "0")).join(" ");
        parts.set(key, [...(parts.get(key) || []), it]);
      }
      const shown = [];
      for (const key of [...parts.keys()].sort()) {
        const part = parts.get(key);
        const caption = apart.map((place) => `${axes[place].name}: ${axes[place].values[part[0].at[place]]}`).join(", ");
        if (caption) shown.push(made("h3", caption, { dir: "auto" }));
        shown.push(table(part, d, a));
      }
      section.querySelector(".tables").replaceChildren(...shown);
    };

    turn.hidden = false;
    turn.addEventListener("change", ({ target }) => {
      if (down.value === across.value) (target === down ? across : down).value = last[target === down ? 0 : 1]; // they change places
      last = [down.value, across.value];
      arrange();
    });
  }
})();
