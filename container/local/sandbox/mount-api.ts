import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { type Call, MAX_COMMAND_BODY_BYTES, MAX_FILE_BYTES, pathSchema, type Route } from "./call.ts";
import { readBytes, readJson, sendJson } from "./http.ts";
import { type FilesMount, listingSchema } from "./mount.ts";
import { Problem } from "./problem.ts";

const MAX_LISTING_BODY_BYTES = 128 * 1024 * 1024;

/** What the driver last brought the folder in line with: a digest of the files, or a lease while it still holds it. */
export const filesSchema = z.union([z.object({ digest: z.string().max(64) }), z.object({ lease: z.uuid() })]);
const leaseSchema = z.object({ lease: z.uuid() });
const planSchema = z.object({ lease: z.uuid(), listing: listingSchema });
const commitSchema = z.object({
  lease: z.uuid(),
  uploaded: z.array(z.object({ path: pathSchema, etag: z.string().max(200) })),
  removed: z.array(pathSchema),
  isComplete: z.boolean(),
});
const keepBothSchema = z.object({ lease: z.uuid(), path: pathSchema });

export const MOUNT_ROUTES: Readonly<Record<string, Route>> = {
  "POST mount/check": check,
  "POST mount/changes": async ({ response, sandbox }) => {
    const changes = (await sandbox.isUsed()) ? await (await sandbox.mount()).changes() : { notes: [] };
    sendJson(response, { changes });
  },
  "POST mount/begin": begin,
  "POST mount/plan": plan,
  "PUT mount/file": putFile,
  "GET mount/file": getFile,
  "POST mount/keep-both": keepBoth,
  "POST mount/commit": commit,
  "POST mount/end": end,
};

/** What a call did is told even where the sandbox that did it can no longer be asked. */
export async function lookForChanges(mount: FilesMount): ReturnType<FilesMount["changes"]> {
  return await mount.changes().catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    return { notes: ["What changed in /workspace/files is brought to your files with the next call."] };
  });
}

/** Begins work on the files as the driver saw them, or says that they have to be brought in line first. */
export async function withFiles<Result>(
  mount: FilesMount,
  files: z.output<typeof filesSchema>,
  begin: () => Promise<Result>,
): Promise<Result> {
  const lease = "lease" in files ? files.lease : await mount.leases.take();
  try {
    return await mount.leases.use(lease, async () => {
      if ("digest" in files && !mount.isCurrent(files.digest)) {
        throw new Problem("stale_files", "The files have to be brought in line first.");
      }
      // Where the runtime is killed under what begins, what has come in is not taken for new.
      if ("lease" in files) await mount.save();
      return await begin();
    });
  } finally {
    mount.leases.release(lease);
  }
}

async function begin({ response, sandbox }: Call): Promise<void> {
  const { leases } = await sandbox.mount();
  const lease = await leases.take();
  // Whoever waited for it may have gone.
  if (response.destroyed) leases.release(lease);
  else sendJson(response, { lease });
}

async function check({ request, response, sandbox }: Call): Promise<void> {
  const { files } = await readJson(request, z.object({ files: filesSchema }), MAX_COMMAND_BODY_BYTES);
  await withFiles(await sandbox.mount(), files, async () => undefined);
  sendJson(response, {});
}

async function plan({ request, response, sandbox }: Call): Promise<void> {
  const { lease, listing } = await readJson(request, planSchema, MAX_LISTING_BODY_BYTES);
  const mount = await sandbox.mount();
  sendJson(response, await mount.leases.use(lease, async () => await mount.plan(listing)));
}

async function putFile({ request, response, query, sandbox }: Call): Promise<void> {
  const { lease } = leaseSchema.parse({ lease: query.get("lease") });
  const path = pathSchema.parse(query.get("path"));
  const etag = z.string().min(1).max(200).parse(query.get("etag"));
  const mount = await sandbox.mount();
  sendJson(
    response,
    await mount.leases.use(lease, async () => await mount.put(path, etag, readBytes(request, MAX_FILE_BYTES))),
  );
}

async function getFile({ response, query, sandbox }: Call): Promise<void> {
  const { lease } = leaseSchema.parse({ lease: query.get("lease") });
  const path = pathSchema.parse(query.get("path"));
  const mount = await sandbox.mount();
  await mount.leases.use(lease, async () => {
    const { sizeBytes, body } = await mount.read(path);
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": sizeBytes });
    await pipeline(Readable.from(body), response);
  });
}

async function keepBoth({ request, response, sandbox }: Call): Promise<void> {
  const { lease, path } = await readJson(request, keepBothSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  sendJson(response, await mount.leases.use(lease, async () => await mount.keepBoth(path)));
}

async function commit({ request, response, sandbox }: Call): Promise<void> {
  const { lease, ...done } = await readJson(request, commitSchema, MAX_LISTING_BODY_BYTES);
  const mount = await sandbox.mount();
  await mount.leases.use(lease, async () => await mount.commit(done));
  mount.leases.release(lease);
  sendJson(response, {});
}

async function end({ request, response, sandbox }: Call): Promise<void> {
  const { lease } = await readJson(request, leaseSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  await mount.save();
  mount.leases.release(lease);
  sendJson(response, {});
}
