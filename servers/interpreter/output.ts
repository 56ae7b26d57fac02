import type { Artifact } from "../core/artifacts.ts";
import type { Attachment, ToolContext } from "../core/tool.ts";
import type { CodeOutput } from "../sandbox/driver.ts";

/** What Python prints of a value that has nothing to say as text: `<IPython.core.display.HTML object>`. */
const PLACEHOLDER = /^<[\w.]+ object( at 0x[0-9a-f]+)?>$/;

/** A page that says what it says by its scripts is nothing to read. */
const SCRIPT = /<script\b/i;

/** The form of one displayed value that a model reads best; pictures come as pictures beside the text. */
export function describeOutput(output: CodeOutput): string {
  if (output.png !== undefined || output.jpeg !== undefined) return "";
  const { markdown, latex, json, html, svg } = output;
  if (html !== undefined && isPage(output) && SCRIPT.test(html)) return "(a page with scripts: its file is linked)";
  return markdown ?? latex ?? readableText(output) ?? json ?? html ?? svg ?? output.text ?? "";
}

/** Pictures are shown, and kept in the caller's files like pages and drawings, which only a browser can show. */
export async function keepOutput(
  output: CodeOutput,
  { artifacts }: Pick<ToolContext, "artifacts">,
): Promise<Attachment[]> {
  const keep = async (artifact: Omit<Artifact, "madeBy">): Promise<Attachment> =>
    await artifacts.attach({ ...artifact, madeBy: { tool: "interpreter_run" } });
  const { png, jpeg, svg, html } = output;
  const base64 = png ?? jpeg;
  if (base64 !== undefined) {
    const [mimeType, ending] = png === undefined ? ["image/jpeg", "jpg"] : ["image/png", "png"];
    const link = await keep({ name: `figure.${ending}`, mimeType, content: Uint8Array.fromBase64(base64) });
    return [{ type: "image", base64, mimeType }, link];
  }
  if (svg !== undefined) return [await keep({ name: "figure.svg", mimeType: "image/svg+xml", content: svg })];
  if (html === undefined || !isPage(output)) return [];
  return [await keep({ name: "output.html", mimeType: "text/html", content: html })];
}

/** A table's HTML says what its text says. */
function isPage(output: CodeOutput): boolean {
  return output.html !== undefined && readableText(output) === undefined;
}

function readableText({ text }: CodeOutput): string | undefined {
  return text !== undefined && PLACEHOLDER.test(text) ? undefined : text;
}
