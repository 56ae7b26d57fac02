import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { jailCommand, prepareEtc } from "../../container/local/sandbox/jail.ts";
import { defaultLimits } from "../../container/local/sandbox/limits.ts";

export interface BareJail extends AsyncDisposable {
  /** Spawns bwrap with a sandbox's own flags around `true`, and waits for its end. */
  run(): Promise<void>;
}

/** What a command costs where each one gets a bubblewrap of its own: bwrap alone, with the flags of a sandbox. */
export async function prepareBareJail(): Promise<BareJail> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const dirs = {
    workspaceDir: path.join(folder, "workspace"),
    filesDir: path.join(folder, "files"),
    etcDir: path.join(folder, "etc"),
  };
  await mkdir(dirs.workspaceDir);
  await mkdir(dirs.filesDir);
  await prepareEtc(dirs.etcDir);
  const whole = await jailCommand({ ...dirs, limits: defaultLimits(), cgroupProcsFiles: [], isNice: false }, [
    "/usr/bin/true",
  ]);
  const args = withoutPreparation(whole);
  return {
    run: async () => {
      // Where start.sh opens it for a sandbox.
      await using filter = await open(path.join(dirs.etcDir, "seccomp.bpf"));
      const child = spawn("bwrap", args, { stdio: ["ignore", "ignore", "inherit", filter.fd] });
      const [code] = await once(child, "exit");
      if (code !== 0) throw new Error(`bwrap ended with ${code}.`);
    },
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }),
  };
}

/**
 * The arguments of bwrap itself. As root, a sandbox's folders are first mounted at `/mnt/0`, `/mnt/1` and so on, in
 * the order in which they are listed before `--`; here each is named where it is.
 */
function withoutPreparation(command: readonly string[]): string[] {
  const args = command.slice(command.indexOf("bwrap") + 1);
  const places = args.map((argument) => /^\/mnt\/(?<index>\d+)(?<rest>\/.*)?$/.exec(argument)?.groups);
  const count = 1 + Math.max(-1, ...places.map((place) => Number(place?.["index"] ?? -1)));
  const sources = command.slice(0, command.indexOf("--")).slice(-count);
  return args.map((argument, at) => {
    const { index, rest = "" } = places[at] ?? {};
    return index === undefined ? argument : `${sources[Number(index)]}${rest}`;
  });
}
