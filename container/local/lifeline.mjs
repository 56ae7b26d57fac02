// Loaded by bootstrap.mjs into the process that it starts: when the bootstrap is gone, however it went, this process
// is told to end and takes what it started with it.
import process from "node:process";

const { PINCER_BOOTSTRAP_PID: bootstrapPid } = process.env;
// What this process starts may load this file too, and has another parent.
delete process.env.PINCER_BOOTSTRAP_PID;

if (bootstrapPid !== undefined) {
  const end = () => process.kill(process.pid, "SIGTERM");
  process.once("disconnect", end);
  // Listening must not keep a script alive that has nothing left to do.
  process.channel?.unref();
  // It may have gone before anyone listened.
  if (bootstrapPid !== String(process.ppid)) end();
}
