import * as z from "zod";
import type { Account } from "../../servers/account/account.ts";
import { createFileStore } from "../../servers/files/store.ts";
import { filesOwner } from "../../servers/shared/paths.ts";
import { answerMount } from "./mount.ts";

/** The name that the SDK gives the bucket inside the container. */
export const MOUNT_HOST = "r2.internal";
/** The binding, not the bucket: `mountBucket` looks it up on `env`. */
export const FILES_BINDING = "FILES";

/**
 * Nothing is remembered of names and sizes, by s3fs and by the kernel, since it would hide what was stored since. The
 * SDK asks for a memory of what is not there; without a time to live it is none.
 */
export const S3FS_OPTIONS = [
  "stat_cache_expire=0",
  "attr_timeout=0",
  "entry_timeout=0",
  // A folder is what answers at its name with a slash; s3fs need not look for it in three more ways.
  "notsup_compat_dir",
  "listobjectsv2",
  // A bucket that does not answer is asked again for half a minute, within the time of one call.
  "retries=3",
];

/** What the Durable Object gave the proxy when it mounted: the container has no say in it. */
const propsSchema = z.object({
  containerId: z.string(),
  outboundByHostOverrides: z.object({
    [MOUNT_HOST]: z.object({
      params: z.object({ buckets: z.object({ [FILES_BINDING]: z.object({ prefix: z.string() }) }) }),
    }),
  }),
});

/** As much of a container's Durable Object as its proxy speaks to. */
interface Container extends Rpc.DurableObjectBranded {
  noteRefusal(path: string, reason: string): Promise<void>;
  /** Whose it is. Nothing where it has never been begun. */
  sandboxId(): Promise<string | undefined>;
}

export interface MountBindings {
  readonly [FILES_BINDING]: R2Bucket;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly SANDBOX: DurableObjectNamespace<Container>;
}

/** Answers a request to `MOUNT_HOST` from the container that `props` were made for. */
export async function serveMount(
  request: Request,
  props: unknown,
  env: MountBindings,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response> {
  const parsed = propsSchema.safeParse(props);
  if (!parsed.success) return new Response("The files are not mounted.\n", { status: 403 });
  const { containerId, outboundByHostOverrides } = parsed.data;
  const { prefix } = outboundByHostOverrides[MOUNT_HOST].params.buckets[FILES_BINDING];
  const userId = filesOwner(prefix.replace(/^\//, ""));
  const account = env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
  const bucket = env[FILES_BINDING];
  const files = createFileStore(bucket, userId, { account, waitUntil });
  const sandbox = env.SANDBOX.get(env.SANDBOX.idFromString(containerId));
  return await answerMount(request, { bucket, files, account }, async (path, { message }) => {
    // What was refused stays refused, whether the call can tell of it or not.
    await sandbox.noteRefusal(path, message).catch(() => undefined);
  });
}
