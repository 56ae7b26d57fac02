// `npm run doctor`: see doctor/doctor.ts for what it does. Plain JavaScript, since without its dependencies nothing else
// of it runs; it installs none.
import process from "node:process";
import { dependencyState, run } from "./bootstrap.mjs";

const args = process.argv.slice(2);

const MISSING = {
  says: "They are missing, so nothing else can be looked at.",
  todo: "npm start installs them, in a minute or two; then run this again.",
};
const HALF = {
  says: "They are installed by half: npm is at it, or was ended in the middle.",
  todo: "Wait for the npm that is at it, or run npm start, which installs them anew; then run this again.",
};

function tellBroken({ says, todo }) {
  const check = { name: "Dependencies", state: "broken", says, todo, took_ms: 0 };
  if (args.includes("--json")) console.log(JSON.stringify({ ok: false, machine: [check] }, null, 2));
  else console.log(`broken  ${check.name}  ${says}\n        → ${todo}`);
  process.exitCode = 1;
}

const state = dependencyState();
if (state === "missing") tellBroken(MISSING);
else if (state === "installed by half") tellBroken(HALF);
else {
  const facts = ["--dependencies", state, "--started-by", process.versions.node];
  await run("container/local/doctor/doctor.ts", ["--no-install", ...facts, ...args]);
}
