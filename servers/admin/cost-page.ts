import { html } from "../../auth/html.ts";
import { type PageContext, everybodysPage } from "./page-context.ts";

export function costPage(context: PageContext): Response {
  return everybodysPage(context, { at: "cost", title: "What it costs", body: html`` });
}
