import { defineServer } from "../core/tool.ts";
import * as list from "./list.ts";
import * as run from "./run.ts";

export const interpreterServer = defineServer({
  name: "interpreter",
  title: "Interpreter",
  instructions: "interpreter_run analyses data and draws charts; figures come back as pictures and are kept in files.",
  modules: [run, list],
});
