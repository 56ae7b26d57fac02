import { type ChatModel, startChatModel } from "./chat-model.ts";

/**
 * A model endpoint that has nothing but what its client tells it: asked what a person's cat is called, it says so where
 * one of the person's messages before has said it.
 */
export async function startRememberingModel(): Promise<ChatModel> {
  return await startChatModel((messages) => {
    const said = JSON.stringify(messages.filter(({ role }) => role === "user"));
    const name = [...said.matchAll(/My cat is called (\w+)/g)].at(-1)?.[1];
    return name === undefined ? "Nobody told me." : `Your cat is called ${name}, I remember.`;
  });
}
