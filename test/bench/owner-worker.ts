import * as z from "zod";
import { DirectoryObject } from "../../servers/directory/directory-object.ts";
import { type PagesEnv, renderPage } from "./owner-pages.ts";

export { Account } from "../../servers/account/account.ts";

/** Nobody is paused here. */
export class Directory extends DirectoryObject {
  protected override async endWork(): Promise<void> {}
}

const dimension = z.enum(["day", "server", "tool", "model", "client"]);
const days = { fromDay: z.string(), toDay: z.string() };
const filter = z.object({
  tool: z.string().exactOptional(),
  outcome: z.string().exactOptional(),
  runId: z.string().exactOptional(),
  text: z.string().exactOptional(),
  cursor: z.string().exactOptional(),
  limit: z.int(),
});
const sizeSchema = z.int().min(1);

/** `of` is the person whose account is asked, or one of several directories. */
const askedSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("open"), of: z.string() }),
  z.object({ do: z.literal("usage"), of: z.string(), query: z.object({ ...days, by: dimension }) }),
  z.object({ do: z.literal("audit"), of: z.string(), query: filter }),
  z.object({ do: z.literal("things"), of: z.string() }),
  z.object({ do: z.literal("page"), of: z.string(), path: z.string() }),
  z.object({
    do: z.literal("people"),
    of: z.string(),
    query: z.object({ query: z.string().exactOptional(), limit: z.int() }),
  }),
  z.object({
    do: z.literal("everybody"),
    of: z.string(),
    query: z.object({ ...days, by: z.union([dimension, z.literal("person")]) }),
  }),
]);

export type OwnerAsked = z.output<typeof askedSchema>;

/** Bench-only: what the owner's pages ask of accounts and of the directory, and how much they are answered. */
export default {
  async fetch(request: Request, env: PagesEnv): Promise<Response> {
    const asked = askedSchema.parse(await request.json());
    const account = env.ACCOUNT.get(env.ACCOUNT.idFromName(asked.of));
    const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName(asked.of));
    switch (asked.do) {
      case "open":
        await account.listAudit(1);
        await directory.errors(1);
        return Response.json({ rows: 0, ids: [account.id.toString(), directory.id.toString()] });
      case "usage":
        return Response.json({ rows: (await account.usage(asked.query)).length });
      case "audit":
        return Response.json({ rows: (await account.audit(asked.query)).rows.length });
      case "things":
        return Response.json({ rows: (await account.things()).handles.length });
      case "page":
        return Response.json({ rows: Math.min(1, sizeSchema.parse(await renderPage(asked.path, asked.of, env))) });
      case "people":
        return Response.json({ rows: (await directory.people(asked.query)).people.length });
      case "everybody":
        return Response.json({ rows: (await directory.usage(asked.query, 100)).length });
    }
  },
};
