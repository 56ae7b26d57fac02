import { randomBytes } from "node:crypto";
import { access, chmod, constants, mkdir, open, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import { LaunchProblem } from "./problem.ts";
import { SUITE_FILE, type SuiteFile, readSuiteFile } from "../running-suite.ts";

/** What the Worker keeps, in Miniflare's hands. */
export const STATE_FOLDER = "state";
const LOCK_FILE = "suite.lock";
const SECRETS_FILE = "secrets.json";
const SQLITE_MAGIC = "SQLite format 3\0";
const SQLITE_BUSY = 5;

const secret = z.string().regex(/^[0-9a-f]{64}$/);
const secretsSchema = z.strictObject({
  /** Signs share links, tokens and consent: with another one, all of them end. */
  signingSecret: secret,
});

type Secrets = z.output<typeof secretsSchema>;

/** The folder that holds everything a suite keeps, held by this process alone. */
export interface DataFolder {
  readonly path: string;
  readonly secrets: Secrets;
  /** Tells `npm run token` and `npm run demo` where the suite is. */
  announce(suite: SuiteFile): Promise<void>;
  /** Takes the announcement back and lets the folder go. */
  close(): Promise<void>;
}

/** Opens the folder, makes it where it is new, and locks it until `close` or this process's end. */
export async function openDataFolder(folder: string): Promise<DataFolder> {
  await makePrivateFolder(folder);
  const unlock = await lock(folder);
  const suiteFile = path.join(folder, SUITE_FILE);
  try {
    await rm(suiteFile, { force: true });
    const secrets = await readSecrets(path.join(folder, SECRETS_FILE));
    await checkDatabases(path.join(folder, STATE_FOLDER));
    return {
      path: folder,
      secrets,
      announce: async (suite) => await writePrivately(suiteFile, suite),
      close: async () => {
        await rm(suiteFile, { force: true });
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** Throws what `openDataFolder` would, but changes nothing; whether there is such a folder already. */
export async function inspectDataFolder(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((cause: unknown) => {
    if (isMissing(cause)) return undefined;
    throw unusable(folder, cause);
  });
  await access(names === undefined ? await nearestFolder(folder) : folder, constants.W_OK).catch((cause: unknown) => {
    throw unusable(folder, cause);
  });
  if (names === undefined) return false;
  refuseOthers(folder, names);
  await findSecrets(path.join(folder, SECRETS_FILE));
  await checkDatabases(path.join(folder, STATE_FOLDER));
  return true;
}

/** The folder itself, or what it would be made in. */
export async function nearestFolder(folder: string): Promise<string> {
  const isThere = await access(folder).then(
    () => true,
    () => false,
  );
  return isThere || path.dirname(folder) === folder ? folder : await nearestFolder(path.dirname(folder));
}

/** Makes the folder private to its owner. A folder that holds something else is left as it is. */
async function makePrivateFolder(folder: string): Promise<void> {
  let names: string[];
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    names = await readdir(folder);
  } catch (cause) {
    throw unusable(folder, cause);
  }
  refuseOthers(folder, names);
  await chmod(folder, 0o700).catch((cause: unknown) => {
    throw unusable(folder, cause);
  });
}

function refuseOthers(folder: string, names: readonly string[]): void {
  if (names.length === 0 || names.includes(LOCK_FILE)) return;
  throw new LaunchProblem(`${folder} holds something else than a suite's data; choose a new folder with --data DIR.`);
}

function unusable(folder: string, cause: unknown): LaunchProblem {
  return new LaunchProblem(`${folder} cannot be used as the data folder; choose one that you own with --data DIR.`, {
    cause,
  });
}

/**
 * SQLite's exclusive lock is a lock of the operating system: it ends with the process, however that ends, so that a
 * lock never outlives its suite.
 */
async function lock(folder: string): Promise<() => void> {
  const file = path.join(folder, LOCK_FILE);
  try {
    const database = new DatabaseSync(file);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return () => database.close();
  } catch (cause) {
    if (cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY) {
      const running = await readSuiteFile(folder);
      const where = running === undefined ? "is starting" : `runs at ${running.url}`;
      throw new LaunchProblem(`A suite ${where} with ${folder} already; end it first, or choose another --data DIR.`);
    }
    throw new LaunchProblem(`${file} is damaged or cannot be written; remove it, or choose another --data DIR.`, {
      cause,
    });
  }
}

async function readSecrets(file: string): Promise<Secrets> {
  const found = await findSecrets(file);
  if (found !== undefined) return found;
  const secrets = { signingSecret: newSecret() };
  await writePrivately(file, secrets);
  return secrets;
}

async function findSecrets(file: string): Promise<Secrets | undefined> {
  try {
    return secretsSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw damaged(file, cause);
  }
}

function isMissing(failure: unknown): boolean {
  return failure instanceof Error && "code" in failure && failure.code === "ENOENT";
}

/** workerd starts on a damaged database as well, and then every call fails. */
async function checkDatabases(state: string): Promise<void> {
  const names = await readdir(state, { recursive: true }).catch(() => []);
  for (const name of names.filter((each) => each.endsWith(".sqlite"))) {
    const file = path.join(state, name);
    const start = await readStart(file);
    // A database without a table is an empty file.
    if (start === "" || start === SQLITE_MAGIC) continue;
    throw new LaunchProblem(
      `${file} is damaged; restore it, or move ${state} away to start without the files and tokens in it.`,
    );
  }
}

/** Empty where it is gone since it was listed: a suite at work removes databases. */
async function readStart(file: string): Promise<string> {
  const start = new Uint8Array(SQLITE_MAGIC.length);
  try {
    await using handle = await open(file, "r");
    const { bytesRead } = await handle.read(start);
    return new TextDecoder().decode(start.subarray(0, bytesRead));
  } catch (failure) {
    if (isMissing(failure)) return "";
    throw failure;
  }
}

function damaged(file: string, cause: unknown): LaunchProblem {
  return new LaunchProblem(
    `${file} is damaged; restore it, or remove it to get new secrets, which ends all tokens and share links.`,
    { cause },
  );
}

/** The whole file or nothing, readable by nobody else. */
async function writePrivately(file: string, content: object): Promise<void> {
  const draft = `${file}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  await rename(draft, file);
}

export function newSecret(): string {
  return randomBytes(32).toString("hex");
}
