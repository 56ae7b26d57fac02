import type { Artifact } from "../core/artifacts.ts";
import type { Attachment, ToolContext } from "../core/tool.ts";
import type { CodeOutput } from "../sandbox/driver.ts";

/** What Python prints of a value that has nothing to say as text: `<IPython.core.display.HTML object>`. */
const PLACEHOLDER = /^<[\w.]+ object( at 0x[0-9a-f]+)?>$/;

/** The form of one displayed value that a model reads best; pictures come as pictures beside the text. */
export function describeOutput(output: CodeOutput): string {
  if (output.png !== undefined || output.jpeg !== undefined) return "";
  const text = output.text !== undefined && PLACEHOLDER.test(output.text) ? undefined : output.text;
  return output.markdown ?? output.latex ?? text ?? output.json ?? output.html ?? output.svg ?? output.text ?? "";
}

/** Pictures are shown, and kept in the caller's files like pages and drawings, which only a browser can show. */
export async function keepOutput(output: CodeOutput, { artifacts }: ToolContext): Promise<Attachment[]> {
  const keep = async (artifact: Pick<Artifact, "name" | "mimeType" | "content">): Promise<Attachment> => {
    const { path, mimeType, sizeBytes } = await artifacts.keep({ ...artifact, madeBy: { tool: "interpreter_run" } });
    return { type: "link", path, mimeType, sizeBytes };
  };
  const { png, jpeg, svg, html } = output;
  const base64 = png ?? jpeg;
  if (base64 !== undefined) {
    const [mimeType, ending] = png === undefined ? ["image/jpeg", "jpg"] : ["image/png", "png"];
    const link = await keep({ name: `figure.${ending}`, mimeType, content: Uint8Array.fromBase64(base64) });
    return [{ type: "image", base64, mimeType }, link];
  }
  if (svg !== undefined) return [await keep({ name: "figure.svg", mimeType: "image/svg+xml", content: svg })];
  // A table's HTML says what its text says.
  const isPage = html !== undefined && (output.text === undefined || PLACEHOLDER.test(output.text));
  return isPage ? [await keep({ name: "output.html", mimeType: "text/html", content: html })] : [];
}
