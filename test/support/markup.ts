const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };

/** Text or the value of an attribute, as a browser reads what the pages escape. */
export function textOfMarkup(markup: string): string {
  return markup.replace(/&(lt|gt|quot|#39|amp);/g, (_entity, name: string) => ENTITIES[name] ?? "");
}
