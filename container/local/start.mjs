// `npm start`: see launch.ts for what it does.
import process from "node:process";
import { run } from "./bootstrap.mjs";

await run("container/local/launch/launch.ts", process.argv.slice(2));
