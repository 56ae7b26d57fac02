import { type Html, html } from "../../auth/html.ts";

/** One column: amounts on top of each other, each drawn in a way of its own. */
export interface ChartColumn {
  /** Beneath the columns, where there is room. */
  readonly label: string;
  readonly counted?: number;
  readonly measured?: number;
  readonly estimated?: number;
}

const LAYERS = ["counted", "measured", "estimated"] as const;

interface ChartView {
  readonly id: string;
  readonly title: string;
  /** What the chart says, in a sentence: for who does not see it. */
  readonly says: string;
  readonly columns: readonly ChartColumn[];
  readonly format: (value: number) => string;
}

const HEIGHT = 100;
const STEP = 10;
const BAR = 7;

/**
 * Columns as a picture that stretches to its place; the words around it are text of the page, so that they stay as large
 * as any. The same figures stand in the table beside it.
 */
export function columnChart({ id, title, says, columns, format }: ChartView): Html {
  const top = Math.max(...columns.map(totalOf), 0);
  const width = Math.max(columns.length, 1) * STEP;
  return html`<figure class="chart">
    <figcaption>${title}</figcaption>
    <div class="chart-top" aria-hidden="true"><span>${format(top)}</span></div>
    <svg
      role="img"
      aria-labelledby="${id}-title ${id}-says"
      viewBox="0 0 ${width} ${HEIGHT}"
      preserveAspectRatio="none"
      focusable="false"
    >
      <title id="${id}-title">${title}</title>
      <desc id="${id}-says">${says}</desc>
      ${columns.map((column, index) => bars(column, index, top, format))}
    </svg>
    <div class="chart-feet" aria-hidden="true">${feet(columns)}</div>
  </figure>`;
}

function bars(column: ChartColumn, index: number, top: number, format: (value: number) => string): Html {
  const x = index * STEP + (STEP - BAR) / 2;
  let y = HEIGHT;
  const rects = LAYERS.map((layer) => {
    const height = top === 0 ? 0 : ((column[layer] ?? 0) / top) * HEIGHT;
    y -= height;
    return rect(x, y, height, layer);
  });
  return html`<g>
    <title>${column.label}: ${format(totalOf(column))}</title>
    <rect x="${index * STEP}" y="0" width="${STEP}" height="${HEIGHT}" fill="transparent" />
    ${rects}
  </g>`;
}

function rect(x: number, y: number, height: number, look: string): Html | undefined {
  if (height === 0) return undefined;
  // What is there at all is seen.
  const seen = Math.max(height, 1);
  return html`<rect
    class="${look}"
    x="${x}"
    y="${(y - (seen - height)).toFixed(2)}"
    width="${BAR}"
    height="${seen.toFixed(2)}"
  />`;
}

function totalOf(column: ChartColumn): number {
  return LAYERS.reduce((sum, layer) => sum + (column[layer] ?? 0), 0);
}

function feet(columns: readonly ChartColumn[]): Html[] {
  const [first, last] = [columns[0], columns.at(-1)];
  const middle = columns.length > 4 ? columns[Math.floor(columns.length / 2)] : undefined;
  return [first, middle, last]
    .filter((column, index, all) => column !== undefined && all.indexOf(column) === index)
    .map((column) => html`<span>${column?.label}</span>`);
}

/** A part of the largest, drawn behind a figure that stands beside it. */
export function shareBar(value: number, largest: number): Html {
  const width = largest <= 0 ? 0 : Math.max((value / largest) * 100, value > 0 ? 1 : 0);
  return html`<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">
    <rect x="0" y="0" width="${width.toFixed(1)}" height="10" />
  </svg>`;
}

/** How much of something is used up: a bar, and the words beside it. */
export function meter(used: number, limit: number, words: string): Html {
  const share = limit <= 0 ? 0 : Math.min(used / limit, 1);
  return html`<span class="meter">
    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <rect class="track" x="0" y="0" width="100" height="10" />
      <rect class="${share >= 0.9 ? "full" : "fill"}" x="0" y="0" width="${(share * 100).toFixed(1)}" height="10" />
    </svg>
    <span>${words}</span>
  </span>`;
}
