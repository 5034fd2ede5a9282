/** The newest rounds as bars: their parts end when a quorum had contributed, proposed and voted twice. */

const SVG = "http://www.w3.org/2000/svg";
export const PARTS = ["contributions", "proposal", "first votes", "second votes"];
const SHOWN = 14, ROW = 18, WIDTH = 420, LEFT = 46, RIGHT = 58;

/** Seconds after which each part of a round was over; null for what has not ended. */
export function partsOf(course, quorum) {
  const last = course.points.at(-1)?.term ?? 0;
  const points = course.points.filter(([, term]) => term === last);
  const when = (holds) => points.find(holds)?.[0] ?? null;
  return [
    when(([, , contributed]) => contributed >= quorum),
    when(([, , , first]) => first > 0),
    when(([, , , first]) => first >= quorum),
    course.took_s,
  ];
}

export class Rounds {
  constructor(svg) {
    this.svg = svg;
    this.courses = new Map();
  }

  add(courses) {
    for (const course of courses) this.courses.set(course.round, course);
    while (this.courses.size > 64) this.courses.delete(this.courses.keys().next().value);
  }

  draw(quorum, now) {
    const shown = [...this.courses.values()].slice(-SHOWN).reverse();
    const length = (course) => course.took_s ?? now - course.begun_s;
    const longest = Math.max(...shown.map(length), 0.05);
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${ROW * Math.max(shown.length, 1)}`);
    const rows = shown.map((course, at) => {
      const row = element("g", { transform: `translate(0 ${at * ROW})` });
      row.append(text(LEFT - 6, "end", `${course.round}${course.term ? `.${course.term}` : ""}`));
      const parts = partsOf(course, quorum), underWay = parts.indexOf(null);
      let from = 0;
      parts.forEach((end, part) => {
        const to = end ?? (part === underWay ? length(course) : null);
        if (to === null || to <= from) return;
        const scale = (WIDTH - LEFT - RIGHT) / longest;
        row.append(element("rect", { class: `part${part}`, x: LEFT + from * scale, y: 3, width: Math.max((to - from) * scale, 1), height: ROW - 6, rx: 2 }));
        from = to;
      });
      const label = course.took_s === null ? "…" : `${Math.round(1000 * course.took_s)} ms`;
      row.append(text(WIDTH - RIGHT + 6, "start", label));
      return row;
    });
    this.svg.replaceChildren(...rows);
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(x, anchor, content) {
  const made = element("text", { x, y: ROW - 5, "text-anchor": anchor });
  made.textContent = content;
  return made;
}
