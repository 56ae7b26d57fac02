import { InMemoryFs, ReadWriteFs } from "just-bash";

/** Everything that is not one of the sandbox's folders; it is made anew for each command. */
export class BaseDisk extends InMemoryFs {
  /** @param {Parameters<InMemoryFs["writeFile"]>} args */
  async writeFile(...args) {
    if (args[0] !== "/dev/null") await super.writeFile(...args);
  }

  /** @param {Parameters<InMemoryFs["appendFile"]>} args */
  async appendFile(...args) {
    if (args[0] !== "/dev/null") await super.appendFile(...args);
  }
}

/** A folder of this machine that neither links nor `..` lead out of, and in which there is only so much room. */
export class RoomyDisk extends ReadWriteFs {
  #room;

  /** @param {import("just-bash").ReadWriteFsOptions} options @param {{ take(bytes: number, files: number): Promise<void> }} room */
  constructor(options, room) {
    super(options);
    this.#room = room;
  }

  /** @param {Parameters<ReadWriteFs["writeFile"]>} args */
  async writeFile(...args) {
    await this.#room.take(Buffer.byteLength(args[1]), 1);
    await super.writeFile(...args);
  }

  /** @param {Parameters<ReadWriteFs["appendFile"]>} args */
  async appendFile(...args) {
    await this.#room.take(Buffer.byteLength(args[1]), 1);
    await super.appendFile(...args);
  }

  /** @param {Parameters<ReadWriteFs["mkdir"]>} args */
  async mkdir(...args) {
    await this.#room.take(0, 1);
    await super.mkdir(...args);
  }

  /** @param {Parameters<ReadWriteFs["link"]>} args */
  async link(...args) {
    await this.#room.take(0, 1);
    await super.link(...args);
  }

  /** @param {Parameters<ReadWriteFs["cp"]>} args */
  async cp(...args) {
    const { bytes, files } = await this.#sizeOf(args[0]);
    await this.#room.take(bytes, files);
    await super.cp(...args);
  }

  /** @param {string} path @returns {Promise<{ bytes: number, files: number }>} */
  async #sizeOf(path) {
    const info = await this.lstat(path);
    const total = { bytes: info.isFile ? info.size : 0, files: 1 };
    for (const name of info.isDirectory ? await this.readdir(path) : []) {
      const { bytes, files } = await this.#sizeOf(`${path}/${name}`);
      total.bytes += bytes;
      total.files += files;
    }
    return total;
  }
}
