/** The lake drawn: each action of each cell a triangle, the best one an arrow, and the agent. */

import { ACTIONS, CELLS, kind, SIDE } from "./lake.js";

const SVG = "http://www.w3.org/2000/svg";
const STAR = "M.5 .2L.59 .4L.81 .42L.64 .56L.7 .78L.5 .66L.3 .78L.36 .56L.19 .42L.41 .4Z";
/** Corners of a cell's triangles around its centre, and arrows: left, down, right, up. */
const TRIANGLES = ["0,0 .5,.5 0,1", "0,1 .5,.5 1,1", "1,0 .5,.5 1,1", "0,0 .5,.5 1,0"];
const ARROWS = [
  "M.68 .5H.32M.42 .4L.32 .5L.42 .6",
  "M.5 .32V.68M.4 .58L.5 .68L.6 .58",
  "M.32 .5H.68M.58 .4L.68 .5L.58 .6",
  "M.5 .68V.32M.4 .42L.5 .32L.6 .42",
];

export class LakeMap {
  private readonly worths: SVGElement[] = [];
  private readonly arrows: SVGElement[] = [];
  private readonly agent: SVGElement;

  constructor(svg: SVGElement) {
    svg.setAttribute("viewBox", `0 0 ${SIDE} ${SIDE}`);
    for (let cell = 0; cell < CELLS; cell++) svg.append(this.cell(cell));
    this.agent = element("circle", { class: "agent", r: "0.2" });
    svg.append(this.agent);
  }

  private cell(cell: number): SVGElement {
    const at = `translate(${(cell % SIDE) + 0.02} ${Math.floor(cell / SIDE) + 0.02}) scale(.96)`;
    const group = element("g", { transform: at });
    const what = kind(cell);
    group.append(
      element("rect", {
        class: what === "hole" || what === "goal" ? what : "cell",
        width: "1",
        height: "1",
        rx: ".06",
      }),
    );
    for (let action = 0; action < ACTIONS; action++) {
      this.worths.push(element("polygon", { class: "worth", points: TRIANGLES[action]!, "fill-opacity": "0" }));
    }
    this.arrows.push(element("path", { class: "arrow", d: "" }));
    if (what === "start" || what === "ice") group.append(...this.worths.slice(-ACTIONS), this.arrows.at(-1)!);
    if (what === "goal") group.append(element("path", { class: "star", d: STAR }));
    if (what === "start")
      group.append(element("rect", { class: "start", x: ".06", y: ".06", width: ".88", height: ".88", rx: ".05" }));
    return group;
  }

  /** values: one for each action of each cell. */
  show(values: Float32Array, agent: number): void {
    const most = Math.max(...values, 1e-6);
    values.forEach((value, at) =>
      this.worths[at]!.setAttribute("fill-opacity", (0.85 * Math.max(value / most, 0)).toFixed(3)),
    );
    for (let cell = 0; cell < CELLS; cell++) {
      const row = values.subarray(ACTIONS * cell, ACTIONS * cell + ACTIONS);
      const best = row.indexOf(Math.max(...row));
      this.arrows[cell]!.setAttribute("d", row.every((value) => value === row[0]) ? "" : ARROWS[best]!);
    }
    this.agent.setAttribute("cx", String((agent % SIDE) + 0.5));
    this.agent.setAttribute("cy", String(Math.floor(agent / SIDE) + 0.5));
  }
}

export function element(name: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
