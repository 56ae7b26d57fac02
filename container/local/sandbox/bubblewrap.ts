import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { unpackedChrome } from "../chrome/bundled.ts";
import { AgentLink } from "./agent-link.ts";
import { createCgroup, type SandboxCgroup } from "./cgroups.ts";
import { DISK_FOLDER, makeDiskImage } from "./disk.ts";
import { doOnce } from "./do-once.ts";
import { type Agent, type Enclosure, identityOf } from "./enclosure.ts";
import { isThere, jailCommand, makeSandboxFolder } from "./jail.ts";
import type { Limits } from "./limits.ts";
import { openSnapshotSocket, type SnapshotSocket } from "./snapshot-socket.ts";
import { statusOf } from "./status.ts";
import { watchSandbox } from "./watch.ts";
import { openWayOut, type WayOut } from "./way-out.ts";

export interface BubblewrapOptions {
  readonly id: string;
  readonly dir: string;
  readonly etcDir: string;
  /** Where the bundled Chrome is, once it is unpacked. */
  readonly chromeParent: string;
  readonly limits: Limits;
  readonly hasCgroups: boolean;
  /** Whether a new sandbox gets a disk of its own. */
  readonly hasDiskImages: () => Promise<boolean>;
  /** The egress proxy's. */
  readonly egressSocket?: string;
  readonly hasLowPorts: () => Promise<boolean>;
  readonly log: (line: string) => void;
}

/** Without an image, the folders lie on the machine's own. */
interface Disk {
  readonly image?: string;
}

const PROGRAM = ["/opt/node/bin/node", "--max-old-space-size=128", "--v8-pool-size=0", "/opt/pincer/agent.mjs"];

/** A sandbox in namespaces of its own, with the machine's programs. */
export function bubblewrapEnclosure(options: BubblewrapOptions): Enclosure {
  const { id, dir, limits, log } = options;
  const imagePath = join(dir, "disk.img");
  const folders = { workspace: join(dir, "workspace"), files: join(dir, "files") };
  const cgroups = new WeakMap<AgentLink, SandboxCgroup>();

  /** A sandbox that was made without a disk of its own keeps its folders. */
  const prepareDisk = doOnce(async (): Promise<Disk> => {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    if (await isThere(imagePath)) return { image: imagePath };
    if ((await isThere(folders.workspace)) || !(await options.hasDiskImages())) {
      await makeSandboxFolder(folders.workspace);
      await makeSandboxFolder(join(folders.workspace, "files"));
      await makeSandboxFolder(folders.files);
      return {};
    }
    await makeDiskImage(imagePath, limits.diskBytes);
    return { image: imagePath };
  });

  const startAgent = async (
    { image }: Disk,
    snapshotSocket: SnapshotSocket,
    cgroup: SandboxCgroup | undefined,
    wayOut: WayOut | undefined,
  ): Promise<AgentLink> => {
    const { etcDir } = options;
    const [workspaceDir, filesDir] =
      image === undefined ? [folders.workspace, folders.files] : [`${DISK_FOLDER}/workspace`, `${DISK_FOLDER}/files`];
    const command = await jailCommand(
      {
        ...(image !== undefined && { diskImage: image }),
        ...{ workspaceDir, filesDir, etcDir, limits },
        chromeDir: await unpackedChrome(options.chromeParent),
        cgroupProcsFiles: cgroup?.procsFiles ?? [],
        isNice: cgroup?.limits.cpu !== true,
        snapshotSocket: snapshotSocket.path,
        ...(wayOut !== undefined && { egressSocket: wayOut.socket, hasLowPorts: wayOut.hasLowPorts }),
      },
      PROGRAM,
    );
    const link = await AgentLink.start(command, log);
    const onBreach = (reason: string): void => {
      log(`sandbox ${id}: ${reason}`);
      link.kill(reason);
    };
    const isDiskLimited = image !== undefined;
    const watched = isDiskLimited ? [dir] : [workspaceDir, filesDir];
    const watch = watchSandbox({ pid: link.pid, limits, cgroup, folders: watched, isDiskLimited, onBreach });
    void link.ended.then(() => watch.stop());
    return link;
  };

  const start = async (): Promise<Agent> => {
    const { hasCgroups, egressSocket } = options;
    const disk = await prepareDisk();
    const snapshotSocket = await openSnapshotSocket(dir);
    let wayOut: WayOut | undefined;
    const cgroup = hasCgroups ? createCgroup(`${process.pid}-${randomBytes(6).toString("hex")}`, limits) : undefined;
    const clear = async (): Promise<void> =>
      void (await Promise.all([cgroup?.remove(), wayOut?.close(), snapshotSocket.close()]));
    try {
      if (egressSocket !== undefined) wayOut = await openWayOut(egressSocket, id, await options.hasLowPorts());
      const link = await startAgent(disk, snapshotSocket, cgroup, wayOut);
      void wayOut?.shorten(link);
      if (cgroup !== undefined) cgroups.set(link, cgroup);
      const outOfMemoryKills = (): number => cgroup?.outOfMemoryKills() ?? 0;
      return { link, snapshotSocket, outOfMemoryKills, gone: link.ended.then(clear) };
    } catch (error) {
      await clear();
      throw error;
    }
  };

  return {
    isUsed: async () => (await isThere(folders.workspace)) || (await isThere(imagePath)),
    diskIdentity: async () => {
      const place = (await isThere(imagePath)) ? imagePath : folders.workspace;
      return (await isThere(place)) ? await identityOf(place) : undefined;
    },
    prepare: async () => {
      const { image } = await prepareDisk();
      if (image === undefined) return await identityOf(folders.files);
      // What a disk image has lost when the machine went down must not be taken for removed.
      return `${await identityOf(image)}:${(await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim()}`;
    },
    start,
    status: async (running) => {
      const plain = (await isThere(folders.workspace)) ? Object.values(folders) : [];
      const cgroup = typeof running === "object" ? cgroups.get(running.link) : undefined;
      return await statusOf({ running, cgroup, folders: plain, limits });
    },
  };
}
