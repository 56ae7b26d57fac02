import { createLocalDriver } from "../../servers/sandbox/driver-local.ts";
import { createLocalWorkspaces } from "../../servers/sandbox/local-workspace.ts";
import { putParts, removeParts } from "../../servers/sandbox/snapshot-bucket.ts";
import { createSnapshotKeepers } from "../../servers/sandbox/snapshot-keepers.ts";
import { type SnapshotBindings, SandboxSnapshotsObject } from "../../servers/sandbox/snapshots.ts";
import type { Workspace } from "../../servers/sandbox/workspace.ts";
import { durationMs } from "../../servers/shared/setting-kinds.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { type FilesBindings, serveSandbox } from "../support/sandbox-worker.ts";

export { Account } from "../../servers/account/account.ts";
export { Directory } from "../../servers/directory/directory.ts";

interface Env extends SnapshotBindings, FilesBindings {
  readonly SANDBOX_SNAPSHOTS: DurableObjectNamespace<SandboxSnapshots>;
  readonly LOCAL_RUNTIME_URL: string;
  readonly LOCAL_RUNTIME_SECRET: string;
}

export class SandboxSnapshots extends SandboxSnapshotsObject<Env> {
  protected override workspaceOf(sandboxId: string): Workspace {
    return createLocalWorkspaces(runtimeOf(this.env), async (input, init) => await fetch(input, init))(sandboxId);
  }
}

/** How many bytes R2 is given as a snapshot, of no sandbox: nothing that is put there can be faster. */
const PUT_BYTES = "put-bytes";
const PIECE = new Uint8Array(1024 * 1024);

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const sizeBytes = new URL(request.url).searchParams.get(PUT_BYTES);
    if (sizeBytes !== null) {
      const { readable, writable } = new FixedLengthStream(Number(sizeBytes));
      const [stored] = await Promise.all([
        putParts(env.SNAPSHOTS, crypto.randomUUID(), readable, request.signal),
        fill(writable.getWriter(), Number(sizeBytes)),
      ]);
      await removeParts(env.SNAPSHOTS, stored.key);
      return new Response();
    }
    const keeperOf = createSnapshotKeepers({
      namespace: env.SANDBOX_SNAPSHOTS,
      windowMs: durationMs(parseSettings(env).SNAPSHOT_AFTER),
      told: new Map(),
      waitUntil: (work) => ctx.waitUntil(work),
    });
    const driver = createLocalDriver(runtimeOf(env), async (input, init) => await fetch(input, init), keeperOf);
    return await serveSandbox(request, env, driver, ctx, env.SANDBOX_SNAPSHOTS);
  },
};

async function fill(writer: WritableStreamDefaultWriter<Uint8Array>, sizeBytes: number): Promise<void> {
  for (let left = sizeBytes; left > 0; left -= PIECE.length) await writer.write(PIECE.subarray(0, left));
  await writer.close();
}

function runtimeOf({ LOCAL_RUNTIME_URL: runtimeUrl, LOCAL_RUNTIME_SECRET: secret }: Env) {
  return { runtimeUrl, secret };
}
