import type { RemoteFiles } from "./session.ts";

/** What pages had Chrome download, until a call takes it to the caller's files. */
export class Downloads {
  async deliver(_files: RemoteFiles, _signal: AbortSignal): Promise<void> {}
}
