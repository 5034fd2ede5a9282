/** Who this page is: a demonstration hands out seats; any other node is joined as a guest with a key of its own. */

export interface Seat {
  member: number;
  key: string;
  genesis: string;
  nodes: string[];
}

const KEPT = "qorum seat";

/** The seat of this tab, the same one after a reload; undefined where none are handed out. */
export async function seatOfThisTab(): Promise<Seat | undefined> {
  const member = sessionStorage.getItem(KEPT);
  const answer = await fetch("/demo/seat", {
    method: "POST",
    body: JSON.stringify(member ? { member: Number(member) } : {}),
  });
  if (answer.status === 404 || answer.status === 405) return undefined;
  if (!answer.ok) throw new Error(await answer.text());
  const seat = (await answer.json()) as Seat;
  sessionStorage.setItem(KEPT, String(seat.member));
  return seat;
}
