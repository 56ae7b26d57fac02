/** A structured line for Workers Logs. Callers pass nothing secret: names, codes, references, durations. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export const consoleLog: Log = {
  info: (event, fields) => console.log(JSON.stringify({ event, ...fields })),
  error: (event, fields) => console.error(JSON.stringify({ event, ...fields })),
};

/** An unknown failure as one line, with the stack's first frames; the cause chain included. */
export function describeFailure(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure);
  const own = (failure.stack ?? `${failure.name}: ${failure.message}`).split("\n").slice(0, 6).join(" | ");
  return failure.cause === undefined ? own : `${own} || caused by ${describeFailure(failure.cause)}`;
}
