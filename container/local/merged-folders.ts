import { lstat, readlink } from "node:fs/promises";

/** Arguments for bubblewrap: `/bin`, `/lib` and their like as the machine has them: links into `/usr`, or folders of their own. */
export async function mergedFolders(): Promise<string[]> {
  const named = await Promise.all(
    ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(async (path) => {
      const found = await lstat(path).catch(() => undefined);
      if (found === undefined) return [];
      return found.isSymbolicLink() ? ["--symlink", await readlink(path), path] : ["--ro-bind", path, path];
    }),
  );
  return named.flat();
}
