export function ignoreRules(text: string): (path: string, isFolder: boolean) => boolean;
