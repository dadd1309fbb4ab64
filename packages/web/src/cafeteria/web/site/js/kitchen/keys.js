/** What a key means while the focus is inside the tickets, as pure functions. A bump bar is a keyboard. */

const ACTIONS = { s: "start", r: "ready", c: "collect" };
const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

/**
 * @param {{key: string, ctrlKey: boolean, altKey: boolean, metaKey: boolean, onControl: boolean}} event
 *   `onControl`: the focus is on a button or a field, which has its own meaning for Enter and Space
 * @param {{keys: boolean, digitPresses: boolean}} settings
 * @returns {{type: "choose" | "press" | "move" | "undo" | "find", place?: number, move?: string, action?: string | null,
 *   presses?: boolean} | null}
 */
export function commandOf(event, settings) {
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  if (MOVES.includes(event.key)) return { type: "move", move: event.key };
  if (event.key === "Enter") return event.onControl ? null : { type: "press", action: null };
  return settings.keys ? characterCommand(event.key, settings) : null;
}

function characterCommand(key, settings) {
  if (/^[1-9]$/.test(key)) return { type: "choose", place: Number(key) - 1, presses: settings.digitPresses };
  const letter = key.toLowerCase();
  if (letter in ACTIONS) return { type: "press", action: ACTIONS[letter] };
  if (letter === "u") return { type: "undo" };
  return letter === "/" ? { type: "find" } : null;
}

/**
 * The place that an arrow, Home or End leads to; it stays inside the grid.
 * @param {number} place from 0
 * @param {{count: number, columns: number}} grid
 */
export function moved(place, move, { count, columns }) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -place, End: count - 1 - place };
  const next = place + steps[move];
  return next < 0 || next >= count ? place : next;
}
