/** Two lines over the agent's episodes, both from 0 to 1. */

import { element } from "./map.js";

const WIDTH = 400,
  HEIGHT = 130,
  LEFT = 28,
  BOTTOM = 18;
const POINTS = 400; // more are thinned out

interface Point {
  episode: number;
  own: number;
  agreed: number;
}

export class Curve {
  private points: Point[] = [];
  private readonly lines = {
    own: element("polyline", { class: "own" }),
    agreed: element("polyline", { class: "agreed" }),
  };
  private readonly end = element("text", { x: String(WIDTH), y: String(HEIGHT), "text-anchor": "end" });

  constructor(svg: SVGElement) {
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    for (const share of [0, 0.5, 1]) {
      const y = String(place(share));
      svg.append(element("line", { class: "axis", x1: String(LEFT), x2: String(WIDTH), y1: y, y2: y }));
      const label = element("text", { x: "0", y: String(place(share) + 4) });
      label.textContent = String(share);
      svg.append(label);
    }
    svg.append(this.lines.agreed, this.lines.own, this.end);
  }

  add(episode: number, own: number, agreed: number): void {
    if (this.points.at(-1)?.episode === episode) return;
    this.points.push({ episode, own, agreed });
    if (this.points.length > POINTS) this.points = this.points.filter((_, at) => at % 2 === 1);
    for (const line of ["own", "agreed"] as const) {
      const last = Math.max(episode, 1);
      const drawn = this.points.map(
        (point) => `${LEFT + ((WIDTH - LEFT) * point.episode) / last},${place(point[line])}`,
      );
      this.lines[line].setAttribute("points", drawn.join(" "));
    }
    this.end.textContent = `${episode} episodes`;
  }
}

function place(share: number): number {
  return 6 + (HEIGHT - BOTTOM - 6) * (1 - Math.min(Math.max(share, 0), 1));
}
