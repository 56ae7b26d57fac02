import type { Directory } from "../../directory/directory.ts";
import type { ReportedError } from "../health-report.ts";

const SHOWN = 20;

/** The calls of everybody that broke last, with the names of who made them. */
export async function lastErrors(namespace: DurableObjectNamespace<Directory>): Promise<ReportedError[]> {
  const directory = namespace.get(namespace.idFromName("directory"));
  const errors = await directory.errors(SHOWN);
  const ids = [...new Set(errors.map(({ userId }) => userId))];
  const people = await Promise.all(ids.map(async (userId) => await directory.person(userId)));
  const names = new Map(people.map((person) => [person?.userId, person?.displayName]));
  return errors.map(({ reference, atMs, tool, userId }) => {
    const name = names.get(userId);
    const person = name === undefined || name === "" ? userId : name;
    return { reference, at: new Date(atMs).toISOString(), tool, person };
  });
}
