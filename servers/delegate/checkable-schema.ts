/** Keywords whose value is a schema for each name in it. */
const NAMED = new Set(["properties", "$defs", "definitions", "dependentSchemas"]);
/** Keywords whose value is data. */
const DATA = new Set(["const", "enum", "default", "examples"]);

/**
 * The schema without what is a regular expression: one that backtracks without end would stop everybody's calls, and
 * nothing can tell beforehand that it does. The model is told of it all the same.
 */
export function checkableSchema(schema: unknown): { readonly schema: unknown; readonly isWhole: boolean } {
  let isWhole = true;
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== "object" || value === null) return value;
    const kept = Object.entries(value).flatMap(([keyword, content]): [string, unknown][] => {
      if (keyword === "pattern" || keyword === "patternProperties") {
        isWhole = false;
        return [];
      }
      // What a pattern lets in is not refused for having no name.
      if (keyword === "additionalProperties" && "patternProperties" in value) return [];
      if (DATA.has(keyword)) return [[keyword, content]];
      return [[keyword, NAMED.has(keyword) ? stripNamed(content) : strip(content)]];
    });
    return Object.fromEntries(kept);
  };
  const stripNamed = (schemas: unknown): unknown => {
    if (typeof schemas !== "object" || schemas === null || Array.isArray(schemas)) return schemas;
    return Object.fromEntries(Object.entries(schemas).map(([name, content]) => [name, strip(content)]));
  };
  return { schema: strip(schema), isWhole };
}
