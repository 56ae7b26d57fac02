import { Agent, request } from "node:http";

/** Something that is done again and again. Throws where it did not come out right: no error is timed as a success. */
export interface Task {
  readonly name: string;
  readonly run: () => Promise<void>;
  /** What comes before each time and is not timed; for one client. */
  readonly prepare?: () => Promise<void>;
}

export interface Latencies {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface LoadOptions {
  /** How many are under way at once. */
  readonly clients: number;
  readonly rounds: number;
  /** How often a task is run in each round. */
  readonly perRound: number;
}

/**
 * Runs the tasks in turn, A B A B, so that whatever slows the machine slows all of them alike. The first round warms
 * up and is not counted.
 */
export async function measure(tasks: readonly Task[], options: LoadOptions): Promise<ReadonlyMap<string, Latencies>> {
  const times = new Map<string, number[]>(tasks.map(({ name }) => [name, []]));
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const task of tasks) {
      const taken = await runMany(task, options);
      if (round > 0) times.get(task.name)?.push(...taken);
    }
  }
  return new Map([...times].map(([name, taken]) => [name, summarize(taken)]));
}

async function runMany({ run, prepare }: Task, { clients, perRound }: LoadOptions): Promise<number[]> {
  const taken: number[] = [];
  let begun = 0;
  const client = async (): Promise<void> => {
    while (begun < perRound) {
      begun += 1;
      await prepare?.();
      const startedMs = performance.now();
      await run();
      taken.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return taken;
}

export function summarize(times: readonly number[]): Latencies {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95) };
}

export interface Post {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true });

/** One POST on a connection that is kept alive, and its whole answer. */
export async function post({ url, headers, body }: Post): Promise<{ readonly status: number; readonly text: string }> {
  return await new Promise((resolve, reject) => {
    const outgoing = request(url.href, { method: "POST", agent, headers }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
      incoming.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Lets go of the connections. */
export function hangUp(): void {
  agent.destroy();
}
