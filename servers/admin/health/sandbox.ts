import * as z from "zod";
import type { Sandbox } from "../../../container/sandbox.ts";
import { sandboxId } from "../../sandbox/driver.ts";
import { DEFAULT_HANDLE } from "../../shared/handles.ts";
import { readText } from "../../shared/read-text.ts";
import type { Settings } from "../../shared/settings.ts";
import type { Finding } from "../health-report.ts";
import type { Probe } from "./probe.ts";

const MAX_ANSWER_BYTES = 10_000;

const runtimeHealth = z.discriminatedUnion("driver", [
  z.object({ driver: z.literal("local") }),
  z.object({ driver: z.literal("simulated"), reason: z.string().max(1_000) }),
]);

interface SandboxParts {
  readonly settings: Settings;
  readonly namespace: DurableObjectNamespace<Sandbox>;
  readonly userId: string;
  readonly fetch: typeof fetch;
}

/** What runs commands: the local runtime is asked, a container is not started for it. */
export function sandboxProbe(parts: SandboxParts): Probe {
  return parts.settings.SANDBOX_DRIVER === "container" ? containerProbe(parts) : runtimeProbe(parts);
}

function runtimeProbe({ settings, fetch: fetcher }: SandboxParts): Probe {
  return {
    name: "Sandbox driver",
    failing: {
      says: "The local sandbox runtime does not answer, so no command runs.",
      todo: "It is started again at once where it has ended: try again in a moment, then end npm start and start it anew; suite.log in the data folder says why.",
    },
    run: async (signal) => {
      const headers = { Authorization: `Bearer ${settings.LOCAL_RUNTIME_SECRET}` };
      const response = await fetcher(`${settings.LOCAL_RUNTIME_URL}/health`, { headers, redirect: "manual", signal });
      const text = await readText(response.body, MAX_ANSWER_BYTES);
      if (response.status === 403) return strangeRuntime();
      return describeRuntime(runtimeHealth.parse(JSON.parse(text ?? "")));
    },
  };
}

function strangeRuntime(): Finding {
  return {
    state: "broken",
    says: "What answers in the local sandbox runtime's place does not know its secret.",
    todo: "End npm start and start it anew, which makes both agree.",
  };
}

function describeRuntime(health: z.output<typeof runtimeHealth>): Finding {
  if (health.driver === "local") return { state: "ok", says: "The local runtime answers; commands run in bubblewrap." };
  return {
    state: "warning",
    says: `The local runtime answers; a simulated shell without native programs stands in for bubblewrap. ${health.reason}`,
    todo: "npm run doctor says what this machine lacks; start again when it is there.",
  };
}

function containerProbe({ settings, namespace, userId }: SandboxParts): Probe {
  return {
    name: "Sandbox driver",
    failing: {
      says: "The Durable Object that looks after a container does not answer, so no command runs.",
      todo: "See that containers in wrangler.jsonc names the class Sandbox, that its image was pushed (npm run deploy with Docker running, npx wrangler containers list), and read the Worker's log.",
    },
    run: async () => {
      const sandbox = namespace.get(namespace.idFromName(sandboxId(userId, DEFAULT_HANDLE)));
      const { state } = await sandbox.lifecycle();
      return {
        state: "ok",
        says: `Containers of the image container/Dockerfile, priced as ${settings.SANDBOX_INSTANCE_TYPE}; yours named ${DEFAULT_HANDLE} is ${state}. None was started for this check.`,
      };
    },
  };
}
