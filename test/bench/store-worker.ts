import * as z from "zod";
import type { Account } from "../../servers/account/account.ts";
import { createFileStore } from "../../servers/files/store.ts";

export { Account } from "../../servers/account/account.ts";
export { Directory } from "../../servers/directory/directory.ts";

interface Env {
  readonly FILES: R2Bucket;
  readonly FEW_FILES: R2Bucket;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
}

const USER = "bench";

const bucket = z.enum(["FILES", "FEW_FILES"]);
const askedSchema = z.discriminatedUnion("do", [
  z.object({ do: z.enum(["read", "read raw"]), bucket, path: z.string(), times: z.int() }),
  z.object({ do: z.enum(["write", "write raw"]), bucket, paths: z.array(z.string()), content: z.string() }),
  z.object({ do: z.literal("list"), bucket, folder: z.string(), limit: z.int(), times: z.int() }),
]);

export type Asked = z.output<typeof askedSchema>;

/** Bench-only: the store, and the bucket below it, each doing the same many times in one request. */
export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const asked = askedSchema.parse(await request.json());
    const files = env[asked.bucket];
    const store = createFileStore(files, USER, {
      account: env.ACCOUNT.get(env.ACCOUNT.idFromName(USER)),
      waitUntil: (work) => ctx.waitUntil(work),
    });
    let bytes = 0;
    switch (asked.do) {
      case "read":
      case "read raw":
        for (let time = 0; time < asked.times; time += 1) {
          const found = asked.do === "read" ? await store.read(asked.path) : await files.get(store.prefix + asked.path);
          if (found === null) throw new Error(`There is no ${asked.path}.`);
          bytes += (await new Response(found.body).bytes()).length;
        }
        break;
      case "write":
      case "write raw":
        for (const path of asked.paths) {
          if (asked.do === "write") await store.write(path, asked.content);
          else await files.put(store.prefix + path, asked.content);
          bytes += asked.content.length;
        }
        break;
      case "list":
        for (let time = 0; time < asked.times; time += 1) {
          const page = await store.list({ folder: asked.folder, recursive: false, limit: asked.limit });
          bytes += page.files.length;
        }
    }
    return Response.json({ bytes });
  },
};
