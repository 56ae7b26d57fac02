import { defineServer } from "../core/tool.ts";
import * as read from "./read.ts";
import * as share from "./share.ts";
import * as write from "./write.ts";

export const filesServer = defineServer({
  name: "files",
  title: "Files",
  instructions:
    "files_* keep things for good, in a workspace shared by all clients; sandbox and interpreter see it at /workspace/files.",
  modules: [read, write, share],
});
