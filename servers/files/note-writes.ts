import type { FileInfo, FileStore } from "./store.ts";

/** The same store, which tells of each file that a call writes, copies or moves. */
export function noteWrites(files: FileStore, onFile: ((file: FileInfo) => void) | undefined): FileStore {
  if (onFile === undefined) return files;
  const noted = async (written: Promise<FileInfo>): Promise<FileInfo> => {
    const file = await written;
    onFile(file);
    return file;
  };
  return {
    ...files,
    write: async (...given) => await noted(files.write(...given)),
    copy: async (...given) => await noted(files.copy(...given)),
    move: async (...given) => await noted(files.move(...given)),
    restore: async (...given) => await noted(files.restore(...given)),
  };
}
