import { defineServer } from "../core/tool.ts";
import * as edit from "./edit.ts";
import * as exec from "./exec.ts";
import * as expose from "./expose.ts";
import * as processes from "./processes.ts";
import * as read from "./read.ts";
import * as search from "./search.ts";
import * as status from "./status.ts";
import * as write from "./write.ts";

export const sandboxServer = defineServer({
  name: "sandbox",
  title: "Sandbox",
  instructions: "sandbox_exec gives you a Linux machine of your own; what is in /workspace/files is kept for good.",
  modules: [exec, processes, read, write, edit, search, status, expose],
});
