import { defineServer } from "../core/tool.ts";
import * as remove from "./delete.ts";
import * as edit from "./edit.ts";
import * as list from "./list.ts";
import * as transfer from "./transfer.ts";
import * as read from "./read.ts";
import * as search from "./search.ts";
import * as share from "./share.ts";
import * as write from "./write.ts";

export const filesServer = defineServer({
  name: "files",
  title: "Files",
  instructions:
    "files_* keep things for good, in a workspace shared by all clients; sandbox and interpreter see it at /workspace/files. Look into memory/ when you start, and write there what is worth keeping.",
  modules: [list, read, write, edit, transfer, remove, search, share],
});
