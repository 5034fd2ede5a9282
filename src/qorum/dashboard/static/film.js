/** A recording in place of a live node: a slider, a button to play, a speed. */

import { headers } from "./stream.js";

const at = (id) => document.getElementById(id);
const TURN_MS = 60;

/** The recording that is served here; null where there is a live node. */
export async function recording() {
  const answer = await fetch("/api/v1/recording", { headers });
  return answer.ok ? answer.json() : null;
}

export class Film {
  /** hear: called with each moment that is to be shown; start: when all that was shown is to be forgotten. */
  constructor({ moments }, hear, start) {
    Object.assign(this, { moments, hear, start, shown: -1 });
    at("scrubber").hidden = false;
    at("time").max = moments.length - 1;
    at("time").addEventListener("input", () => this.go(Number(at("time").value)));
    at("play").addEventListener("click", () => this.play(at("play").getAttribute("aria-pressed") !== "true"));
    this.go(0);
  }

  /** Show a moment, and before it all that led there. */
  go(place) {
    if (place < this.shown) {
      this.start();
      this.shown = -1;
    }
    while (this.shown < place) this.hear(this.moments[++this.shown], this.shown === place);
    const { clock_s: clock } = this.moments[place];
    at("time").value = place;
    at("time").setAttribute("aria-valuetext", `${clock.toFixed(2)} seconds`);
    at("clock").textContent = `${clock.toFixed(2)} s`;
  }

  play(on) {
    at("play").setAttribute("aria-pressed", String(on));
    at("play").textContent = on ? "Pause" : "Play";
    clearInterval(this.timer);
    if (!on) return;
    if (this.shown === this.moments.length - 1) this.go(0);
    let clock = this.moments[this.shown].clock_s;
    this.timer = setInterval(() => {
      clock += (Number(at("speed").value) * TURN_MS) / 1000;
      let place = this.shown;
      while (place + 1 < this.moments.length && this.moments[place + 1].clock_s <= clock) place++;
      if (place > this.shown) this.go(place);
      if (place === this.moments.length - 1) this.play(false);
    }, TURN_MS);
  }
}
