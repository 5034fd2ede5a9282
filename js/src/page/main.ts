/** The page: an agent of a swarm, alive in this browser. */

import { type Config, createFederatedQTable, type FederatedQTable, type Progress, type Status } from "../index.js";
import { Curve } from "./curve.js";
import { CELLS, chance } from "./lake.js";
import { Life } from "./life.js";
import { LakeMap } from "./map.js";
import { type Seat, seatOfThisTab } from "./seat.js";

const DRAW_MS = 120,
  ASK_MS = 500;
const ALL = Array.from({ length: CELLS }, (_, cell) => cell);
const STAGES = {
  python: "Loading Python",
  numpy: "Loading NumPy",
  qorum: "Starting qorum",
  key: "Preparing the key",
  ready: "Ready",
};

const at = <T extends Element>(id: string) => document.getElementById(id) as unknown as T;
const say = (id: string, text: string) => (at(id).textContent = text);

function onProgress({ stage, done }: Progress): void {
  at<HTMLProgressElement>("progress").value = done;
  say("stage", `${STAGES[stage]} …`);
}

function trouble(error: unknown): void {
  const box = at<HTMLElement>("trouble");
  box.textContent = error instanceof Error ? error.message : String(error);
  box.hidden = box.textContent === "";
}

async function start(): Promise<void> {
  const seat = await seatOfThisTab();
  const fqt = createFederatedQTable(seat ? member(seat) : { name: "visitor", onProgress });
  await fqt.ready;
  say("state", "joining");
  await fqt.connect(...(seat?.nodes ?? [location.origin]));
  at<HTMLElement>("loading").hidden = true;
  at<HTMLElement>("main").hidden = false;
  fqt.on("failed", ({ reason }) => trouble(`This agent has stopped: ${reason}`));
  switches(fqt);
  const life = seat ? live(fqt) : follow();
  for (;;) {
    show(await fqt.status(), life);
    await new Promise((next) => setTimeout(next, ASK_MS));
  }
}

function member(seat: Seat): Config {
  return {
    name: `agent-${seat.member}`,
    key: seat.key,
    member: seat.member,
    genesis: seat.genesis,
    bonus: 0.1,
    onProgress,
  };
}

/** A guest: nobody here knows what the federation's task is. */
function follow(): undefined {
  for (const id of ["world", "learning"]) at<HTMLElement>(id).hidden = true;
  for (const id of ["run", "lie", "another"]) at<HTMLElement>(id).hidden = true;
  at<HTMLElement>("speed").parentElement!.hidden = true;
}

function live(fqt: FederatedQTable): Life {
  const map = new LakeMap(at("lake")),
    curve = new Curve(at("curve"));
  const life = new Life(fqt);
  const speed = at<HTMLInputElement>("speed");
  const setPace = () => say("pace", String((life.pace = Math.round(10 ** Number(speed.value)))));
  speed.addEventListener("input", setPace);
  setPace();
  pressed("run", (running) => (life.running = running), ["Run", "Pause"]);
  const draw = async () => {
    const agreed = await fqt.agreed(ALL);
    const own = document.querySelector<HTMLInputElement>("input[name=shown]:checked")!.value === "own";
    map.show(own ? await fqt.qvalues(ALL) : agreed, life.lake.at);
    curve.add(life.episodes, life.success, chance(agreed));
    setTimeout(() => void draw().catch(trouble), DRAW_MS);
  };
  life.run().catch(trouble);
  draw().catch(trouble);
  return life;
}

function switches(fqt: FederatedQTable): void {
  at<HTMLAnchorElement>("another").href = location.href;
  pressed("lie", (lies) => void fqt.lie(lies).catch(trouble), ["Make it a liar", "Let it tell the truth"]);
  pressed("cut", (off) => void fqt.cut(off).catch(trouble), ["Cut it off", "Reconnect it"]);
}

/** A button that stays pressed. labels: while it is not, and while it is. */
function pressed(id: string, change: (pressed: boolean) => void, labels: [string, string]): void {
  const button = at<HTMLButtonElement>(id);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    button.textContent = labels[Number(on)]!;
    button.classList.toggle("danger", on && id !== "run");
    change(on);
  });
}

function show(status: Status, life: Life | undefined): void {
  const out = new Set(status.excluded),
    linked = new Set(status.reachable),
    here = status.member ?? -1;
  const good = status.standing === "agreeing" && !out.has(here);
  const state = at<HTMLElement>("state");
  state.textContent = out.has(here) ? "distrusted by the swarm" : status.standing;
  state.className = `pill ${good ? "good" : "bad"}`;
  say(
    "who",
    here < 0 ? `a guest with key ${status.key.slice(0, 16)}` : `agent ${here} of ${status.members}, in this browser`,
  );
  say("tolerance", `${status.tolerance ?? ""}${out.size ? ` Found lying: ${[...out].join(", ")}.` : ""}`);
  say("doing", here < 0 ? `To be a member: qorum admit ${status.key}` : (status.doing ?? ""));
  const pace = life && { episodes: life.episodes, "steps a second": Math.round(life.reached) };
  facts({ round: status.round, role: status.role, cells: status.cells, steps: status.interactions, ...pace });
  const members = Array.from({ length: status.members ?? 0 }, (_, one) => {
    return chip(one, one === here ? "here" : linked.has(one) ? "linked" : "far", out.has(one));
  });
  at("swarm").replaceChildren(...members);
}

const PLACES = { here: "this agent", linked: "at the end of a link", far: "reached through others, or away" };

function chip(member: number, place: keyof typeof PLACES, isOut: boolean): HTMLElement {
  const item = document.createElement("li");
  item.className = `${place} ${isOut ? "out" : ""}`;
  item.textContent = place === "here" ? `${member} this one` : String(member);
  item.title = isOut ? "found lying" : PLACES[place];
  return item;
}

function facts(given: Record<string, unknown>): void {
  const shown = Object.entries(given).map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(document.createElement("dt"), document.createElement("dd"));
    pair.firstElementChild!.textContent = name;
    const text = typeof value === "number" ? value.toLocaleString("en") : String(value ?? "–");
    pair.lastElementChild!.textContent = text;
    return pair;
  });
  at("facts").replaceChildren(...shown);
}

start().catch((error: unknown) => {
  at<HTMLElement>("loading").hidden = true;
  say("state", "stopped");
  trouble(error);
});
