import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import type { Account } from "../account/account.ts";
import type { StoredLink } from "../account/share-links.ts";
import { type CallPipeline, callRecorded } from "../core/call.ts";
import type { Log } from "../core/log.ts";
import { serveDownload } from "./download.ts";
import { answerFailure, gone, methodNotAllowed } from "./link-answers.ts";
import { readLinkPath } from "./link-url.ts";
import type { LinkSettings } from "./share-link.ts";
import type { FileStore } from "./store.ts";
import { serveUpload } from "./upload.ts";
import { UPLOAD_SCRIPT_PATH, uploadScript } from "./upload-page.ts";

/** What links act on; whose it is, the link says. */
export interface LinkHost extends LinkSettings {
  readonly bucket: R2Bucket;
  readonly log: Log;
  /** Lets work that has begun come to its end although its client has gone. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly filesOf: (userId: string) => FileStore;
  readonly accountOf: (userId: string) => DurableObjectStub<Account>;
  /** Whether the link's person may still do themselves what it is for. Rejects where nobody can say. */
  readonly isLetIn: (userId: string, scopes: readonly Scope[]) => Promise<boolean>;
  /** Refuses while the link's person is paused. */
  readonly gateOf: (userId: string) => CallPipeline["gate"];
  /** Writes into the books of the link's person; never throws. */
  readonly recorderOf: (holder: Caller) => CallPipeline["record"];
}

/** One link in use. */
export interface LinkVisit {
  readonly link: StoredLink;
  readonly files: FileStore;
  readonly account: DurableObjectStub<Account>;
  /** Whoever holds the link, as one who may do what it is for and nothing else. */
  readonly pipeline: Pick<CallPipeline, "caller" | "log" | "gate" | "record">;
}

/** Serves whatever lies under `SHARE_PATH` and `UPLOAD_PATH`. Nobody signs in here: the link is the right. */
export async function serveLink(request: Request, host: LinkHost): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === UPLOAD_SCRIPT_PATH) return uploadScript();
  const token = await readLinkPath(pathname, host.signingSecret);
  if (token === undefined) return gone();
  const { userId, purpose, name } = token;
  const account = host.accountOf(userId);
  const link = await account.findLink(token.id);
  if (link?.purpose !== purpose || link.expiresAtMs <= host.now().getTime()) return gone();
  const caller: Caller = {
    userId,
    role: "reader",
    scopes: [purpose === "download" ? "files:read" : "files:write"],
    clientId: `link:${link.id}`,
  };
  const gate = host.gateOf(userId);
  try {
    if (!(await host.isLetIn(userId, caller.scopes))) return gone();
    await gate.check();
  } catch (failure) {
    return answerFailure(failure);
  }
  const pipeline = { caller, log: host.log, gate, record: host.recorderOf(caller) };
  const visit = { link, files: host.filesOf(userId), account, pipeline };
  return purpose === "download" ? await download(request, visit) : await serveUpload(request, name, visit, host);
}

async function download(request: Request, { link, files, pipeline }: LinkVisit): Promise<Response> {
  if (request.method === "HEAD") return await serveDownload(request, files, link.path).catch(answerFailure);
  if (request.method !== "GET") {
    return methodNotAllowed("A share link answers GET and HEAD.", "GET, HEAD");
  }
  const end = await callRecorded(
    { name: "files_share/download", scopes: ["files:read"] },
    { path: link.path },
    pipeline,
    ({ headers }) => Number(headers.get("Content-Length")),
    async () => await serveDownload(request, files, link.path),
  );
  return end.ok ? end.outcome : answerFailure(end.error);
}
