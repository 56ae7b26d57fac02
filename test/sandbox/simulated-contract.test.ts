import { afterAll, beforeAll, expect, test } from "vitest";
import {
  describeCommands,
  describeFiles,
  describeProcesses,
  describeStore,
  expectRefusal,
  run,
  text,
  describeWhole,
} from "../support/sandbox-contract.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

const NO_PROGRAMS = "there are no native programs";
const NO_INPUT = "terminals and open inputs are refused, which simulated.test.ts shows";
const NO_JOBS = "background jobs run in turn, within their command";
const NO_SIGNALS = "there is neither kill nor trap: a signal ends the command";
const AT_THE_END = "output comes when the command is over";
const NO_PROC = "it looks for processes in /proc; simulated.test.ts looks for what they would do";

/** What a simulated shell cannot do; code contexts are left out whole, and refused as simulated.test.ts shows. */
const CANNOT = {
  "programs are found by their names: preset, and what lies in ~/.local/bin, wherever the command is": NO_PROGRAMS,
  "a command ended by a signal says which": NO_SIGNALS,
  "more output than is kept is a result, and its first 64 MB are kept": "output over 64 MB ends the command",
  "bytes that are no text are replaced, and characters are never cut in two": "just-bash's printf writes text",
  "output is told while the command runs": AT_THE_END,
  "after waitMs it goes on as a process, and what it writes later is kept": AT_THE_END,
  "a reader who wants output at once does not wait for a pause, and no character comes in two parts": AT_THE_END,
  "at timeoutMs the whole tree is killed, daemons too": NO_PROC,
  "timeoutMs holds after waitMs too": NO_PROC,
  "a cancelled call kills the tree": NO_PROC,
  "commands share processes, network and /tmp: a server that one starts is at localhost for the next": NO_PROGRAMS,
  "a process left behind neither holds up its command nor dies when it writes": NO_JOBS,
  "parallel commands neither wait for each other nor mix":
    "a thread takes longer to start than a process: simulated.test.ts asks for fewer",
  "the tools that the description names are there": NO_PROGRAMS,
  "another caller's sandbox sees neither files nor processes": NO_PROC,
  "a reader gets what came after its cursor, and waits for what comes next": AT_THE_END,
  "a pattern that takes for ever to try is given up, and the next call works": AT_THE_END,
  "a reader waits until something listens on a port": NO_PROGRAMS,
  "a reader who waits for a port is not content with what only tries whether it is free": NO_PROGRAMS,
  "more than fits keeps head and tail, and the cursor goes to the end": AT_THE_END,
  "what is written to an open input arrives after the first, and its end ends it": NO_INPUT,
  "python3 is driven through a terminal": NO_INPUT,
  "node -i is driven through a terminal": NO_INPUT,
  "bash --norc -i is driven through a terminal": NO_INPUT,
  "a person's shell has the size of their page, also when that changes, and is found again": NO_INPUT,
  "a terminal is one to the program, has a size, and Ctrl-C interrupts what runs in it": NO_INPUT,
  "a signal reaches the process, which may answer it": NO_SIGNALS,
  "SIGKILL takes the whole tree along, daemons too": NO_PROC,
  "a file that somebody takes away as soon as it is there was written all the same": NO_PROGRAMS,
  "a running one says for how long, and what it uses": "its memory is that of a process that runs other things too",
  "a reset ends processes and contexts and empties the workspace": NO_PROC,
};

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes({ driver: "simulated" });
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const subject = { cannot: CANNOT, open: async () => await Promise.resolve(served.open()) };

describeCommands("simulated shell", subject);
describeProcesses("simulated shell", subject);
describeFiles("simulated shell", subject);
describeStore("simulated shell", subject);
describeWhole("simulated shell", subject);

test("a simulated sandbox cannot be copied, and is discarded whole, which brings out what it left in the files", async () => {
  const { sandbox, files, traces, id } = served.open();
  await run(sandbox, "echo kept > kept; echo late > files/late.txt");
  await expectRefusal(sandbox.fork(`${id}-copy`), "unavailable");
  expect(text(await run(sandbox, "cat kept"))).toBe("kept\n");
  await sandbox.discard();
  expect(await traces()).toEqual([]);
  expect(await files.read("late.txt")).toBe("late\n");
  expect(text(await run(sandbox, "ls"))).toBe("files\n");
});
