// Loaded by bootstrap.mjs into the process that it starts: when the bootstrap is gone, however it went, this process
// is told to end and takes what it started with it.
import process from "node:process";

if (process.env.PINCER_BOOTSTRAP_PID === String(process.ppid) && process.channel !== undefined) {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  // Listening must not keep a script alive that has nothing left to do.
  process.channel.unref();
}
