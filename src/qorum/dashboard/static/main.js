/** The dashboard: a federation as one node sees it, live. */

import { Cells } from "./cells.js";
import { Chart } from "./charts.js";
import { Film, recording } from "./film.js";
import { PARTS, Rounds } from "./rounds.js";
import { listen } from "./stream.js";
import { isIn, SwarmMap, WORDS } from "./swarm.js";

const at = (id) => document.getElementById(id);
const KINDS = [["L", "leader"], ["A", "abreast"], ["B", "lagging"], ["C", "gone"], ["X", "distrusted"]];
const milliseconds = (s) => (s === null || s === undefined ? "–" : `${Math.round(1000 * s)} ms`);
const kilobytes = (bytes) => `${(bytes / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`;

const map = new SwarmMap(at("map"), (member) => describe(member));
const rounds = new Rounds(at("rounds"));
const cells = new Cells(at("cells"), at("story"), at("order"));
const arrivals = new Chart(at("arrivals"), "ms", [["contributed", "lagging"], ["first votes", "accent"], ["second votes", "good"]]);
const moves = new Chart(at("moves"), "round", [["largest move", "accent"]]);
let scene, previous;

window.qorum = { map }; // for whoever measures frames
at("fetch").addEventListener("click", () => cells.show());
at("parts").replaceChildren(...PARTS.map((name, part) => key(`part${part}`, name)));
at("browser").href = `/browser/${location.hash}`;

/** isShown: whether it is to be drawn; of a recording some are passed over. */
function hear(moment, isShown = true) {
  const isFirst = scene === undefined, before = scene?.agreed;
  scene = moment.scene;
  rounds.add(moment.courses);
  if (isFirst || before !== scene.agreed) moves.add(scene.agreed, scene.moved);
  if (!isShown) return;
  map.show(scene);
  rounds.draw(scene.quorum, moment.clock_s);
  showState();
  showAlerts(moment.alerts);
  showRound(moment);
  if (moment.links) showTraffic(moment);
  if (moment.links && before !== scene.agreed) cells.refresh();
  document.body.dataset.round = scene.agreed; // when a commit has become a picture
}

function showState() {
  const within = new Set([...scene.here, ...scene.reachable]).size;
  const agrees = within >= scene.quorum;
  at("state").textContent = agrees ? `round ${scene.agreed} agreed` : `gossip only: ${within} of ${scene.quorum} within reach`;
  at("state").className = `pill ${agrees ? "good" : "bad"}`;
  at("federation").textContent = `federation ${scene.federation.slice(0, 16)}, seen by ${scene.observer < 0 ? "a guest" : `member ${scene.observer}`}`;
  at("tolerance").textContent = scene.tolerance;
  const counts = KINDS.map(([letter, kind]) => [kind, [...scene.standings].filter((one) => one === letter).length]);
  const away = scene.standings.length - within;
  const keys = counts.map(([kind, count]) => key(kind, `${count} ${kind}`));
  at("counts").replaceChildren(...keys, `${away} pale: no link leads there from here`);
}

function showAlerts(alerts) {
  const shown = [...at("alerts").children].map((item) => item.textContent);
  if (shown.join("\n") === alerts.join("\n")) return;
  at("alerts").replaceChildren(...alerts.map((alert) => Object.assign(document.createElement("li"), { textContent: alert })));
}

function showRound({ courses, sync_latency_s: latency }) {
  const times = latency && { "sync, median": milliseconds(latency.p50), "99 %": milliseconds(latency.p99) };
  facts("round", { round: `${scene.round}.${scene.term}`, leader: scene.leader, "waits for": scene.phase, ...times });
  at("doing").textContent = scene.doing;
  const course = courses.findLast((one) => one.points.length > 2);
  if (course) {
    const [times, , contributed, first, second] = [0, 1, 2, 3, 4].map((place) => course.points.map((point) => point[place]));
    arrivals.set([times.map((time) => 1000 * time), contributed, first, second]);
  }
  facts("table", { cells: scene.cells, confirmed: scene.confirmed, "in dispute or unlike": scene.conflicts, "newest move": scene.moved.toPrecision(3) });
}

function showTraffic({ links, received_bytes: received, clock_s: clock }) {
  if (previous && clock > previous.clock) {
    at("rate").textContent = `${kilobytes((received - previous.received) / (clock - previous.clock))} a second come in over ${links.length} links.`;
  }
  if (!previous || clock > previous.clock + 1) previous = { received, clock };
  const rows = links.map((link) => {
    const line = document.createElement("tr");
    const texts = [link.peer, link.members.length > 8 ? `${link.members.length} members` : link.members.join(", "), link.state];
    line.append(...texts.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    const sizes = [link.sent_bytes, link.received_bytes, link.queued_bytes].map(kilobytes);
    line.append(...sizes.map((text) => Object.assign(document.createElement("td"), { textContent: text, className: "number" })));
    return line;
  });
  at("links").tBodies[0].replaceChildren(...rows);
}

function describe(member) {
  const where = scene.here.includes(member) ? "on this node" : scene.reachable.includes(member) ? "linked" : "not linked to this node";
  const done = [["contributed", scene.contributed], ["voted once", scene.first], ["voted twice", scene.second]];
  const said = done.filter(([, mask]) => isIn(mask, member)).map(([word]) => word).join(", ") || "nothing yet";
  at("member").textContent = `Member ${member}: ${WORDS[scene.standings[member]]}; ${where}; in this round: ${said}.`;
}

function key(kind, text) {
  const made = document.createElement("span"), sample = document.createElement("i");
  sample.className = kind;
  made.append(sample, text);
  return made;
}

function facts(id, given) {
  const pairs = Object.entries(given).map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(Object.assign(document.createElement("dt"), { textContent: name }));
    pair.append(Object.assign(document.createElement("dd"), { textContent: typeof value === "number" ? value.toLocaleString("en") : value }));
    return pair;
  });
  at(id).replaceChildren(...pairs);
}

function forget() {
  scene = undefined;
  rounds.courses.clear();
  moves.set([[], []]);
}

const film = await recording();
if (film) {
  for (const id of ["explorer", "traffic"]) at(id).hidden = true;
  window.qorum.film = new Film(film, hear, forget);
} else {
  listen(hear, (why) => {
    at("state").textContent = why;
    at("state").className = "pill bad";
  });
}
