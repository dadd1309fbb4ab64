/**
 * The last minute as a line: geometry as pure functions, and the SVG that shows it.
 *
 * A value of null is a second without an answer: the line has a gap there, never a zero. Attributes alone place the
 * points, for the pages' Content-Security-Policy forbids style attributes.
 */

import { html, nothing, svg } from "../../vendor/lit-html/lit-html.js";

const WIDTH = 240;
const HEIGHT = 48;

/**
 * What a chart says in words: the newest value and the highest, null where no second had an answer.
 * @param {(number|null)[]} values one a second, oldest first
 * @returns {{now: number|null, highest: number|null}}
 */
export function summary(values) {
  const known = values.filter((value) => value !== null);
  return { now: values.at(-1) ?? null, highest: known.length ? Math.max(...known) : null };
}

/** The top of the scale: the least round number that is not under `value`; 1 at least. */
export function top(value) {
  if (!(value > 1)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value);
}

/**
 * The runs of seconds that have a value, each as the `points` of a polyline. A run of one second is a short dash.
 * @param {(number|null)[]} values
 * @returns {string[]}
 */
export function polylines(values, { width = WIDTH, height = HEIGHT, max = 1 } = {}) {
  const step = width / Math.max(values.length - 1, 1);
  const runs = [];
  let run = null;
  values.forEach((value, index) => {
    if (value === null) run = null;
    else {
      if (!run) runs.push((run = []));
      run.push([round(index * step), round(height - (Math.min(value, max) / max) * height)]);
    }
  });
  return runs.map((points) => (points.length > 1 ? points : dash(points[0])).map((point) => point.join(",")).join(" "));
}

const round = (number) => Math.round(number * 10) / 10;
const dash = ([x, y]) => [
  [Math.max(x - 1, 0), y],
  [x + 1, y],
];

/**
 * @param {{values: (number|null)[], label: string, limit?: number}} chart `label` is the sentence for those who do not
 *   see it; a dashed line marks `limit` once a value comes near it
 */
export function sparkline({ values, label, limit }) {
  const max = top(summary(values).highest ?? 0);
  return html`<svg class="spark" viewBox="0 -2 ${WIDTH} ${HEIGHT + 4}" preserveAspectRatio="none" role="img" aria-label=${label}>
    <line class="spark-floor" x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT}></line>
    ${limit && limit <= max ? limitLine(HEIGHT - (limit / max) * HEIGHT) : nothing}
    ${polylines(values, { max }).map((points) => svg`<polyline class="spark-line" points=${points}></polyline>`)}
  </svg>`;
}

const limitLine = (y) => svg`<line class="spark-limit" x1="0" x2=${WIDTH} y1=${round(y)} y2=${round(y)}></line>`;
