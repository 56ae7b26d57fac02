export function measure(
  roots: readonly string[],
  maxFiles: number,
): Promise<{ readonly bytes: number; readonly files: number }>;
