import type { PromptMessage, Resource, ResourceTemplateType } from "@modelcontextprotocol/server";

/** One red pixel. */
export const PNG_BASE64 =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/** A WAV header with no samples. */
export const WAV_BASE64 = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

interface FixturePrompt {
  readonly name: string;
  readonly description: string;
  readonly args: readonly string[];
  readonly messages: "asks for input" | ((args: Readonly<Record<string, string>>) => PromptMessage[]);
}

export const PROMPTS: readonly FixturePrompt[] = [
  {
    name: "test_simple_prompt",
    description: "A prompt without arguments",
    args: [],
    messages: () => [user({ type: "text", text: "This is a simple prompt for testing." })],
  },
  {
    name: "test_prompt_with_arguments",
    description: "A prompt with two arguments",
    args: ["arg1", "arg2"],
    messages: ({ arg1, arg2 }) => [
      user({ type: "text", text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
    ],
  },
  {
    name: "test_prompt_with_embedded_resource",
    description: "A prompt that carries a resource",
    args: ["resourceUri"],
    messages: ({ resourceUri = "" }) => [
      user({
        type: "resource",
        resource: { uri: resourceUri, mimeType: "text/plain", text: "Embedded resource content for testing." },
      }),
      user({ type: "text", text: "Please process the embedded resource above." }),
    ],
  },
  {
    name: "test_prompt_with_image",
    description: "A prompt that carries an image",
    args: [],
    messages: () => [
      user({ type: "image", data: PNG_BASE64, mimeType: "image/png" }),
      user({ type: "text", text: "Please analyze the image above." }),
    ],
  },
  {
    name: "test_input_required_result_prompt",
    description: "A prompt that first asks for its context",
    args: [],
    messages: "asks for input",
  },
];

function user(content: PromptMessage["content"]): PromptMessage {
  return { role: "user", content };
}

export const RESOURCES: readonly Resource[] = [
  { uri: "test://static-text", name: "Static text", description: "A text", mimeType: "text/plain" },
  { uri: "test://static-binary", name: "Static binary", description: "An image", mimeType: "image/png" },
];

export const RESOURCE_TEMPLATES: readonly ResourceTemplateType[] = [
  {
    uriTemplate: "test://template/{id}/data",
    name: "Template",
    description: "Data by id",
    mimeType: "application/json",
  },
];

type ResourceContents = { uri: string; mimeType: string } & ({ text: string } | { blob: string });

export function readResource(uri: string): ResourceContents | undefined {
  if (uri === "test://static-text") {
    return { uri, mimeType: "text/plain", text: "This is the content of the static text resource." };
  }
  if (uri === "test://static-binary") return { uri, mimeType: "image/png", blob: PNG_BASE64 };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return undefined;
  const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { uri, mimeType: "application/json", text };
}
