import { type Html, type Insert, html } from "../../auth/html.ts";

export interface Column {
  readonly head: string;
  /** Figures stand at the right, under each other. */
  readonly isNumber?: boolean;
}

interface TableView {
  readonly caption: string;
  /** Whether the caption is for ears alone, since a heading above says the same. */
  readonly hasHiddenCaption?: boolean;
  readonly columns: readonly Column[];
  /** The first cell of each row is its heading. */
  readonly rows: readonly TableRow[];
  /** Said in place of a table without rows. */
  readonly empty: string;
}

export interface TableRow {
  readonly cells: readonly Insert[];
  readonly className?: string;
}

/**
 * A table that is one for a screen reader on a phone too: there its rows are stacked by CSS, which takes a table's
 * meaning away unless the roles are written out.
 */
export function table({ caption, hasHiddenCaption = false, columns, rows, empty }: TableView): Html {
  if (rows.length === 0) return html`<p class="soft">${empty}</p>`;
  return html`<table role="table">
    <caption class="${hasHiddenCaption ? "unseen" : ""}">
      ${caption}
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map(({ head, isNumber }) => html`<th role="columnheader" scope="col" class="${numberClass(isNumber)}">${head}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => tableRow(row, columns))}
    </tbody>
  </table>`;
}

function tableRow({ cells, className = "" }: TableRow, columns: readonly Column[]): Html {
  return html`<tr role="row" class="${className}">
    ${cells.map((cell, index) => tableCell(cell, columns[index], index === 0))}
  </tr>`;
}

function tableCell(cell: Insert, column: Column | undefined, isHeading: boolean): Html {
  const look = numberClass(column?.isNumber);
  if (isHeading) return html`<th role="rowheader" scope="row" class="${look}">${cell}</th>`;
  return html`<td role="cell" class="${look}" data-head="${column?.head ?? ""}">${cell}</td>`;
}

function numberClass(isNumber: boolean | undefined): string {
  return isNumber === true ? "number" : "";
}
