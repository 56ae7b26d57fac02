import { CDPSession, type Frame, type Target } from "@cloudflare/puppeteer";

/** A frame's id, and the session of the process that it lives in. Puppeteer has both, outside its typed interface. */
export function handleOf(frame: Frame): { readonly id: string; readonly session: CDPSession } {
  const id: unknown = Reflect.get(frame, "_id");
  const session: unknown = Reflect.get(frame, "client");
  if (typeof id !== "string" || !(session instanceof CDPSession)) throw new TypeError("puppeteer hides its frames");
  return { id, session };
}

/** Of frames that were there before puppeteer, which then does not know what they show. */
const found = new WeakMap<Frame, string>();

/** The id of the document in a frame, another one after each navigation: CDP's loader id. */
export async function documentIdOf(frame: Frame): Promise<string> {
  const known: unknown = Reflect.get(frame, "_loaderId");
  if (typeof known === "string" && known !== "") return known;
  const { id, session } = handleOf(frame);
  const documentId = found.get(frame) ?? loaderIn((await session.send("Page.getFrameTree")).frameTree, id) ?? "";
  found.set(frame, documentId);
  return documentId;
}

interface FrameBranch {
  readonly frame: { readonly id: string; readonly loaderId: string };
  readonly childFrames?: readonly FrameBranch[];
}

function loaderIn({ frame, childFrames = [] }: FrameBranch, id: string): string | undefined {
  if (frame.id === id) return frame.loaderId;
  return childFrames.map((child) => loaderIn(child, id)).find((loaderId) => loaderId !== undefined);
}

export function targetIdOf(target: Target): string {
  const id: unknown = Reflect.get(target, "_targetId");
  if (typeof id !== "string") throw new TypeError("puppeteer hides its targets");
  return id;
}

/** Whether scripts can run in a frame. In one whose first page was refused, such as that of a file, they never can. */
export function hasContext(frame: Frame): boolean {
  const mainRealm: unknown = Reflect.get(frame, "mainRealm");
  const realm: unknown = typeof mainRealm === "function" ? Reflect.apply(mainRealm, frame, []) : undefined;
  if (typeof realm !== "object" || realm === null) throw new TypeError("puppeteer hides its realms");
  const asks: unknown = Reflect.get(realm, "hasContext");
  if (typeof asks !== "function") throw new TypeError("puppeteer hides its contexts");
  return Reflect.apply(asks, realm, []) === true;
}

/** A world in a frame that its page's scripts do not share; the same one as long as the document lives. */
export async function ownWorld(session: CDPSession, frameId: string): Promise<number> {
  return (await session.send("Page.createIsolatedWorld", { frameId, worldName: "pincer" })).executionContextId;
}
