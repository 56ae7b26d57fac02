import { defineServer } from "../core/tool.ts";
import * as tools from "./tools.ts";

export const delegateServer = defineServer({
  name: "delegate",
  title: "Delegate",
  instructions:
    "delegate_run gives a self-contained task to a sub-agent with the same tools and a budget of its own; delegate_status follows it.",
  modules: [tools],
});
