import { converse, outbox, whileWriting } from "../inside/conversation.mjs";
import { feedFile, forgetFile } from "../inside/files.mjs";
import { FROM_AGENT, TO_AGENT } from "../inside/frames.mjs";
import { openCommands } from "./commands.mjs";
import { openFolders } from "./folders.mjs";
import { openRoom } from "./room.mjs";

/**
 * Stands where `inside/agent.mjs` stands, and speaks the same frames, where no namespaces can be had: its commands run
 * on a simulated bash, in threads. Node's permission model holds from its first line on; nothing here is Linux's.
 */

/** @typedef {{ workspace: string, files: string, tmp: string }} Folders */
/** @typedef {{ memoryBytes: number, diskBytes: number, diskFiles: number, outputBytes: number }} Limits */
/** @typedef {{ folders: Folders, limits: Limits, used: SharedArrayBuffer }} Setting */

if (typeof process.permission?.drop !== "function") {
  console.error("The simulated shell needs a Node that can give up permissions, such as 24.21.");
  process.exit(1);
}

/** @type {Setting} */
const setting = { ...JSON.parse(process.argv[2] ?? ""), used: new SharedArrayBuffer(24) };
const room = openRoom(setting);
const folders = openFolders(setting.folders);
const commands = openCommands(setting, folders, outbox);

/** @param {number} kind @param {number} call @param {Buffer} content */
async function answer(kind, call, content) {
  switch (kind) {
    case TO_AGENT.spawn:
      return commands.start(call, JSON.parse(content.toString()));
    case TO_AGENT.stdin:
      return commands.feed(call, content);
    case TO_AGENT.kill:
      return outbox.send(FROM_AGENT.done, call, await commands.kill(JSON.parse(content.toString())));
    case TO_AGENT.forget:
      refused.delete(call);
      forgetFile(call);
      return commands.forget(call);
    case TO_AGENT.file:
      return folders.answer(call, JSON.parse(content.toString()), outbox);
    case TO_AGENT.bytes:
      return whileWriting(content, async () => await write(call, content));
    case TO_AGENT.port:
      return outbox.send(FROM_AGENT.done, call, { isListening: false });
    default:
      throw Object.assign(new Error("the simulated shell cannot do that"), { code: "ENOTSUP" });
  }
}

/** Files that there was no room for. @type {Set<number>} */
const refused = new Set();
let turn = Promise.resolve();

/** In the order in which they came, whether or not there is room at once. @param {number} call @param {Buffer} content */
async function write(call, content) {
  const before = turn;
  const written = before.then(async () => {
    if (refused.has(call)) return;
    try {
      await room.take(content.length, 0);
    } catch (error) {
      refused.add(call);
      forgetFile(call);
      throw error;
    }
    await feedFile(call, content);
  });
  turn = written.catch(() => {});
  await written;
}

converse(answer);
