/** A folder on the way down: its folders by name, and its own files. */
interface Folder {
  readonly folders: Map<string, Folder>;
  readonly files: string[];
  /** Of all files below it. */
  count: number;
}

const MAX_DEPTH = 12;

/**
 * Paths such as `a/b.txt` as an indented tree, as deep as fits into `maxChars`; a folder below that is a line with its
 * number of files.
 */
export function drawTree(paths: readonly string[], maxChars: number): string {
  const root = growTree(paths);
  for (let depth = MAX_DEPTH; depth > 1; depth--) {
    const drawn = draw(root, depth, "").join("\n");
    if (drawn.length <= maxChars) return drawn;
  }
  return draw(root, 1, "").join("\n");
}

function growTree(paths: readonly string[]): Folder {
  const root = newFolder();
  for (const path of paths) {
    if (path === "") continue;
    const names = path.split("/");
    const file = names.pop() ?? "";
    let folder = root;
    folder.count += 1;
    for (const name of names) {
      const next = folder.folders.get(name) ?? newFolder();
      folder.folders.set(name, next);
      folder = next;
      folder.count += 1;
    }
    folder.files.push(file);
  }
  return root;
}

function newFolder(): Folder {
  return { folders: new Map(), files: [], count: 0 };
}

function draw({ folders, files }: Folder, depth: number, indent: string): string[] {
  const below = [...folders].flatMap(([name, folder]) => {
    if (depth <= 1) return [`${indent}${name}/ (${folder.count} ${folder.count === 1 ? "file" : "files"})`];
    return [`${indent}${name}/`, ...draw(folder, depth - 1, `${indent}  `)];
  });
  return [...below, ...files.map((name) => indent + name)];
}
