/** Something that the person at the terminal can put right; the message is one sentence that says how. */
export class LaunchProblem extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "LaunchProblem";
  }
}
