import { DIRECTORY_NAME } from "../../account/account-books.ts";
import type { DirectoryObject } from "../../directory/directory-object.ts";
import type { ReportedError } from "../health-report.ts";

const SHOWN = 50;

/** The calls of everybody that broke last, with the names of who made them. */
export async function lastErrors(namespace: DurableObjectNamespace<DirectoryObject>): Promise<ReportedError[]> {
  const directory = namespace.get(namespace.idFromName(DIRECTORY_NAME));
  const errors = await directory.errors(SHOWN);
  const names = await directory.names([...new Set(errors.map(({ userId }) => userId))]);
  return errors.map(({ reference, atMs, tool, userId }) => {
    const at = new Date(atMs).toISOString();
    return { reference, at, tool, user_id: userId, person: names[userId] ?? "" };
  });
}
