// What both walks use beside their client.

declare const process: { argv: string[]; exitCode: number };

/** Fail, telling what was found, unless it holds. */
export function check(holds: unknown, found?: unknown): asserts holds {
  if (!holds) throw new Error(`found ${JSON.stringify(found)}`);
}

/** Fail unless both are written alike in JSON. */
export function same(found: unknown, expected: unknown): void {
  check(JSON.stringify(found) === JSON.stringify(expected), found);
}

/** Wait for so many milliseconds. */
export const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Where the API is: what the command line names. */
export const baseUrl = process.argv[2] ?? "";

/** Let the process fail with the walk. */
export function start(walk: () => Promise<void>): void {
  walk().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
