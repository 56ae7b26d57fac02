/** A file as an MCP resource names it: `files:///reports/summary.html`. */
export function fileUri(path: string): string {
  return `files:///${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** The path in such a URI; `undefined` where it is none. */
export function pathOf(uri: string): string | undefined {
  const match = /^files:\/\/\/(.+)$/.exec(uri);
  try {
    return match?.[1] === undefined ? undefined : decodeURIComponent(match[1]);
  } catch {
    return undefined;
  }
}
