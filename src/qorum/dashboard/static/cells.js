/** The agreed table: cells by rank, and the story of one. */

import { headers } from "./stream.js";

const REFRESH_MS = 3_000;

async function ask(path) {
  const answer = await fetch(`/api/v1/cells${path}`, { headers });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function cell(name, content, kind = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.append(content);
  return made;
}

const short = (state) => (state.length > 12 ? `…${state.slice(-10)}` : state);
const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4));

export class Cells {
  constructor(table, story, order) {
    this.body = table.tBodies[0];
    this.story = story;
    this.order = order;
    order.addEventListener("change", () => this.show());
  }

  /** A round was agreed on: look again, but not too often, and not while somebody is choosing. */
  refresh() {
    const isBusy = this.body.matches(":hover, :focus-within") || performance.now() - (this.shownAt ?? -Infinity) < REFRESH_MS;
    if (!isBusy) this.show();
  }

  async show() {
    this.shownAt = performance.now();
    try {
      const rows = await ask(`?order=${this.order.value}`);
      const values = rows.map((row) => row.value);
      this.low = Math.min(...values), this.high = Math.max(...values, this.low + 1e-9);
      this.body.replaceChildren(...rows.map((row) => this.row(row)));
    } catch (error) {
      this.story.replaceChildren(cell("p", error.message, "hint"));
    }
  }

  row(row) {
    const line = document.createElement("tr"), choose = cell("button", short(row.state));
    choose.type = "button";
    choose.title = row.state;
    choose.addEventListener("click", () => this.tell(row));
    const value = cell("td", number(row.value), "number");
    const heat = Math.round((75 * (row.value - this.low)) / (this.high - this.low));
    value.style.background = `linear-gradient(to right, transparent 30%, color-mix(in srgb, var(--accent) ${heat}%, transparent))`;
    line.append(cell("td", choose), cell("td", row.action), value, cell("td", number(row.visits), "number"), cell("td", row.reporters, "number"), cell("td", row.confirmed ? "yes" : "no"));
    return line;
  }

  async tell({ state, action }) {
    try {
      const { cell: about, claims, steps } = await ask(`/${state}/${action}`);
      const list = document.createElement("ol"), table = document.createElement("table");
      list.append(...steps.map((step) => cell("li", step)));
      const head = document.createElement("tr");
      for (const [name, kind] of [["member"], ["value", "number"], ["visits", "number"], ["base", "number"], ["why"]]) head.append(cell("th", name, kind));
      table.append(head, ...claims.map((claim) => this.claim(claim)));
      const title = cell("h3", `State ${state}, action ${about.action}: ${number(about.value)}`);
      this.story.replaceChildren(title, cell("p", `Before the newest round: ${number(about.before)}.`, "hint"), list, cell("div", table, "scroll"));
    } catch (error) {
      this.story.replaceChildren(cell("p", error.message, "hint"));
    }
  }

  claim({ member, value, visits, base, counts, why }) {
    const line = document.createElement("tr");
    line.className = counts ? "" : "off";
    line.append(cell("td", member), cell("td", number(value), "number"), cell("td", visits, "number"), cell("td", base, "number"), cell("td", why));
    return line;
  }
}
