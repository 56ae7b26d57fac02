import type { Visit } from "../../auth/account-routes.ts";
import type { Account } from "../../servers/account/account.ts";
import type { Desk } from "../../servers/admin/desk.ts";
import { createPages } from "../../servers/admin/pages.ts";
import type { DirectoryObject } from "../../servers/directory/directory-object.ts";
import { createFileStore } from "../../servers/files/store.ts";

export interface PagesEnv {
  readonly FILES: R2Bucket;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

/** A page as an admin is sent it, whose own account and whose directory are those of that name; its size in bytes. */
export async function renderPage(path: string, name: string, env: PagesEnv): Promise<number> {
  const account: Desk["account"] = (userId) => env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
  const desk: Desk = {
    publicUrl: "https://pincer.example.com",
    isBilled: true,
    instanceType: "standard-1",
    now: () => new Date(),
    account,
    directory: () => env.DIRECTORY.get(env.DIRECTORY.idFromName(name)),
    filesOf: (userId) => createFileStore(env.FILES, userId, { account: account(userId), waitUntil: () => undefined }),
    // What runs is measured where it runs.
    thingsOf: () => ({
      sandbox: () => ({
        status: async () => ({ driver: "container", state: "asleep", costUsd: 0 }),
        listProcesses: async () => [],
        readProcess: unused,
        port: () => ({ look: unused, fetch: unused, close: unused }),
      }),
      previews: async () => [],
      browser: async () => undefined,
      run: async () => undefined,
    }),
    whyNoAdmins: undefined,
    health: unused,
    actsOn: unused,
    rules: unused,
    openTerminal: unused,
    asset: unused,
  };
  const visitor: Visit["visitor"] = {
    person: { userId: name, displayName: name, owner: { identity: "local" } },
    role: "admin",
    expiresAtMs: Date.now() + 60_000,
    formKey: "key",
  };
  const response = await createPages(desk)({
    request: new Request(new URL(path, desk.publicUrl)),
    visitor,
    stillIn: async () => visitor,
    people: { remember: unused, renew: unused, find: unused, list: unused },
    holdings: {
      list: unused,
      tokens: async () => [],
      clientName: async () => undefined,
      revoke: unused,
      endPages: unused,
    },
    tokens: { create: unused, find: unused, noteUse: unused },
    maxTokenDays: 30,
    log: { info: () => undefined, error: () => undefined },
  });
  const { length } = await response.text();
  if (response.status !== 200) throw new Error(`${path} was answered with ${response.status}.`);
  return length;
}

function unused(): never {
  throw new Error("Nothing is done here.");
}
