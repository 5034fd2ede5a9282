/** The swarm map: a square for each member, by how it gets on; on it three bars: contributed, first vote, second vote. */

const NAMES = { L: "leader", A: "abreast", B: "lagging", C: "gone", X: "distrusted" };
export const WORDS = {
  L: "leads this attempt",
  A: "took part in the newest round",
  B: "missed the newest round",
  C: "not heard of for long",
  X: "found lying: does not count",
  "-": "has left",
};
const EASE = 0.25; // share of the way that a bar goes in each frame
const HEIGHT = 300;

/** Whether a member is in a mask of hexadecimal digits. */
export function isIn(mask, member) {
  const digit = mask[mask.length - 1 - (member >> 2)];
  return digit !== undefined && (parseInt(digit, 16) >> (member & 3)) & 1;
}

export class SwarmMap {
  /** onChosen: called with the member that is pointed at. */
  constructor(canvas, onChosen) {
    this.canvas = canvas;
    this.brush = canvas.getContext("2d");
    this.onChosen = onChosen;
    this.chosen = -1;
    this.bars = [];
    this.frames = 0;
    canvas.addEventListener("pointermove", (event) => this.choose(this.at(event)));
    canvas.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    this.readColours();
    requestAnimationFrame(() => this.frame());
  }

  show(scene) {
    const isNew = this.scene?.standings.length !== scene.standings.length;
    this.scene = scene;
    this.linked = new Set([...scene.here, ...scene.reachable]);
    if (isNew) {
      this.bars = Array.from(scene.standings, () => [0, 0, 0]);
      this.fit();
    }
    if (this.chosen >= 0) this.onChosen(this.chosen);
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(Object.entries(NAMES).map(([letter, name]) => [letter, colour(name)]));
    this.plain = { line: colour("line"), card: colour("card"), ink: colour("ink"), accent: colour("accent") };
  }

  /** As large as squares can be so that all of them fit. */
  fit() {
    const width = this.canvas.clientWidth, count = this.scene?.standings.length ?? 0;
    if (!width || !count) return;
    let side = 96;
    while (side > 8 && Math.ceil(count / Math.floor(width / side)) * side > HEIGHT) side -= 1;
    this.side = side;
    const rows = Math.ceil(count / Math.floor(width / side)), scale = devicePixelRatio;
    this.columns = Math.ceil(count / rows); // rows of one length
    this.canvas.width = width * scale;
    this.canvas.height = rows * side * scale;
    this.canvas.style.height = `${rows * side}px`;
    this.brush.setTransform(scale, 0, 0, scale, 0, 0);
  }

  frame() {
    this.frames++;
    if (this.side && this.scene) this.draw();
    requestAnimationFrame(() => this.frame());
  }

  draw() {
    const { brush, scene, side, columns } = this;
    brush.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let member = 0; member < scene.standings.length; member++) {
      const x = (member % columns) * side, y = Math.floor(member / columns) * side;
      this.square(member, x, y, side - Math.max(2, side * 0.08));
    }
  }

  square(member, x, y, size) {
    const { brush, scene } = this, letter = scene.standings[member];
    if (letter === "-") return;
    brush.lineWidth = member === this.chosen ? 3 : 1.5;
    brush.beginPath();
    brush.roundRect(x + 1.5, y + 1.5, size - 3, size - 3, Math.min(6, size / 5));
    if (letter !== "C") {
      brush.fillStyle = this.colours[letter];
      brush.globalAlpha = letter === "B" || !this.linked.has(member) ? 0.45 : 0.9;
      brush.fill();
      brush.globalAlpha = 1;
    }
    brush.strokeStyle = member === this.chosen ? this.plain.ink : this.colours[letter];
    brush.stroke();
    if (letter === "X") this.cross(x, y, size);
    this.progress(member, x, y, size);
    if (size >= 22) this.label(member, x, y, size, letter);
  }

  cross(x, y, size) {
    const { brush } = this;
    brush.strokeStyle = this.plain.card;
    brush.lineWidth = Math.max(1.5, size / 14);
    brush.beginPath();
    for (const [from, to] of [[0.3, 0.7], [0.7, 0.3]]) {
      brush.moveTo(x + from * size, y + 0.22 * size);
      brush.lineTo(x + to * size, y + 0.62 * size);
    }
    brush.stroke();
  }

  progress(member, x, y, size) {
    const { brush, scene } = this, bars = this.bars[member], gap = size * 0.08;
    const width = (size - 3 - 4 * gap) / 3, height = Math.max(1.5, size * 0.1);
    [scene.contributed, scene.first, scene.second].forEach((mask, at) => {
      bars[at] += EASE * ((isIn(mask, member) ? 1 : 0) - bars[at]);
      brush.fillStyle = this.plain.card;
      brush.globalAlpha = 0.25 + 0.75 * bars[at];
      brush.fillRect(x + 1.5 + gap + at * (width + gap), y + size - height - gap - 1.5, width, height);
    });
    brush.globalAlpha = 1;
  }

  label(member, x, y, size, letter) {
    if (letter === "X") return;
    const { brush } = this;
    brush.fillStyle = letter === "C" ? this.plain.ink : this.plain.card;
    brush.font = `${Math.min(20, size * 0.38)}px system-ui, sans-serif`;
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    brush.fillText(member, x + size / 2, y + size * 0.43);
  }

  at(event) {
    const column = Math.floor(event.offsetX / this.side), row = Math.floor(event.offsetY / this.side);
    const member = row * this.columns + column;
    return column < this.columns && member < (this.scene?.standings.length ?? 0) ? member : -1;
  }

  step(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const move = moves[event.key];
    if (move === undefined || !this.scene) return;
    event.preventDefault();
    const last = this.scene.standings.length - 1;
    this.choose(Math.min(Math.max((this.chosen < 0 ? 0 : this.chosen) + move, 0), last));
  }

  choose(member) {
    this.chosen = member;
    if (member >= 0) this.onChosen(member);
  }
}
