/** Line charts, by uPlot. */

const KEPT = 600;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Chart {
  /** series: [name, colour, axis label] of each line; x: what the horizontal axis is called. */
  constructor(place, x, series, { height = 170, log = false } = {}) {
    const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, font: "11px system-ui" };
    const lines = series.map(([label, name]) => ({ label, stroke: () => colour(name), width: 2, points: { show: false } }));
    const scales = { x: { time: false }, y: log ? { distr: 3 } : { range: (_, low, high) => [Math.min(low ?? 0, 0), (high ?? 1) || 1] } };
    const options = { width: Math.max(place.clientWidth, 200), height, scales, series: [{ label: x }, ...lines], axes: [axis, { ...axis, size: 56 }], cursor: { y: false } };
    this.data = [[], ...series.map(() => [])];
    this.plot = new uPlot(options, this.data, place);
    new ResizeObserver(() => this.plot.setSize({ width: Math.max(place.clientWidth, 200), height })).observe(place);
  }

  /** Replace all points. */
  set(columns) {
    this.data = columns;
    this.plot.setData(columns);
  }

  /** Add a point, unless there is one there. */
  add(x, ...values) {
    if (this.data[0].at(-1) >= x) return;
    [x, ...values].forEach((value, at) => this.data[at].push(value));
    if (this.data[0].length > KEPT) for (const column of this.data) column.shift();
    this.plot.setData(this.data);
  }
}
