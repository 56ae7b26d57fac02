import { defineServer } from "../core/tool.ts";
import * as exec from "./exec.ts";

export const sandboxServer = defineServer({
  name: "sandbox",
  title: "Sandbox",
  instructions: "sandbox_exec gives you a Linux machine of your own; what is in /workspace/files is kept for good.",
  modules: [exec],
});
