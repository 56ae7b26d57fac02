import * as z from "zod";
import { present } from "./ask-schema.ts";

const functionTool = z.object({
  type: z.literal("function"),
  name: z.string(),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
});
const customTool = z.object({ type: z.literal("custom"), name: z.string(), description: z.string().nullish() });
const namespace = z.object({ type: z.literal("namespace"), name: z.string(), tools: z.array(z.unknown()) });

const forcedTool = z.object({ type: z.enum(["function", "custom"]), name: z.string() });

/** A tool as the client has it. */
export interface ClientTool {
  readonly name: string;
  readonly namespace?: string;
  /** It takes a text and no JSON. */
  readonly isCustom: boolean;
  readonly definition: object;
}

/** The client's tools by the names that chat completions have for them, where there are neither groups nor texts for input. */
export interface ToolNames {
  readonly byChatName: ReadonlyMap<string, ClientTool>;
  chatNameOf(name: string, namespace?: string): string;
}

const MAX_NAME_CHARS = 64;
const TEXT_INPUT = { type: "object", properties: { input: { type: "string" } }, required: ["input"] };

/** Tools that the provider would run itself, such as searches, are left out: they cost something of their own. */
export function toolNames(tools: readonly unknown[]): ToolNames {
  const byChatName = new Map<string, ClientTool>();
  const add = (tool: unknown, group?: string): void => {
    const grouped = namespace.safeParse(tool).data;
    for (const each of grouped?.tools ?? []) add(each, grouped?.name);
    const own = functionTool.safeParse(tool).data ?? customTool.safeParse(tool).data;
    if (own === undefined) return;
    const name = freeName(group === undefined ? own.name : `${group}__${own.name}`, byChatName);
    const parameters = own.type === "custom" ? TEXT_INPUT : (own.parameters ?? { type: "object", properties: {} });
    const { description } = own;
    byChatName.set(name, {
      name: own.name,
      ...(group === undefined ? {} : { namespace: group }),
      isCustom: own.type === "custom",
      definition: { name, ...present({ description }), parameters },
    });
  };
  for (const tool of tools) add(tool);
  return {
    byChatName,
    chatNameOf: (name, group) => {
      const known = [...byChatName].find(([, tool]) => tool.name === name && tool.namespace === group);
      return known?.[0] ?? name;
    },
  };
}

function freeName(name: string, taken: ReadonlyMap<string, unknown>): string {
  const fit = name.replaceAll(/[^\w-]/g, "_").slice(0, MAX_NAME_CHARS);
  for (let copy = 2, free = fit; ; copy += 1) {
    if (!taken.has(free)) return free;
    free = `${fit.slice(0, MAX_NAME_CHARS - 4)}_${copy}`;
  }
}

export function chatTools({ byChatName, chatNameOf }: ToolNames, choice: unknown): Record<string, unknown> {
  if (byChatName.size === 0) return {};
  const forced = forcedTool.safeParse(choice).data;
  const named = forced && { type: "function", function: { name: chatNameOf(forced.name) } };
  const plain = choice === "none" || choice === "required" ? choice : undefined;
  return {
    tools: [...byChatName.values()].map(({ definition }) => ({ type: "function", function: definition })),
    ...present({ tool_choice: named ?? plain }),
  };
}
