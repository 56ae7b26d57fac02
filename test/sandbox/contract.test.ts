import { afterAll, beforeAll } from "vitest";
import { describeSandbox } from "../support/sandbox-contract.ts";
import { type LocalSandboxes, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";

let sandboxes: LocalSandboxes;

beforeAll(async () => {
  sandboxes = await startLocalSandboxes();
});

afterAll(async () => {
  await sandboxes[Symbol.asyncDispose]();
});

describeSandbox("local driver", {
  open: async () => {
    const files = mapFiles();
    return {
      sandbox: sandboxes.open({ files }),
      files: {
        write: async (path, text) => void (await files.write(path, text)),
        read: async (path) => await new Response((await files.read(path)).body).text(),
        remove: files.remove,
      },
    };
  },
});
