import * as z from "zod";
import { formatRef } from "./ref.ts";

/** What is known of one frame's refs. */
const frameSchema = z.object({
  frameId: z.string(),
  /** Of the document that was read last. */
  documentId: z.string().optional(),
  /** What is added to Chrome's ids of that document's nodes. Not zero where Chrome began to count anew. */
  offset: z.int(),
  /** The refs up to here belong to documents that were left. */
  floor: z.int(),
  /** The highest ref that may have been shown. */
  highest: z.int(),
});

export const refRecordSchema = z.array(frameSchema);
export type RefRecord = z.output<typeof refRecordSchema>;

/** How the refs of a document are made: `[f1e12]` is frame 1, and 12 the node's id plus the offset. */
export interface DocumentRefs {
  readonly frameNumber: number;
  readonly offset: number;
}

export interface RefTarget {
  readonly frameId: string;
  readonly documentId: string | undefined;
  /** Chrome's id of the DOM node, within the frame's process. */
  readonly backendNodeId: number;
}

/**
 * Numbers the frames of a tab, in the order in which they are first seen, and the nodes of their documents so that no
 * number is used twice: Chrome's own ids start again in another process, and a ref of a page that was left must not
 * be taken for an element of the next one.
 */
export class RefBook {
  readonly #frames: RefRecord;
  readonly #start: number;

  /** All refs are above `start`. */
  constructor(record: RefRecord = [], start = 0) {
    this.#frames = record;
    this.#start = start;
  }

  get highest(): number {
    return Math.max(this.#start, ...this.#frames.map((frame) => frame.highest));
  }

  /** What the book is made of again after an eviction. */
  get record(): RefRecord {
    return this.#frames;
  }

  /** 0 for the page itself, which is asked for first. A frame keeps its number. */
  numberOf(frameId: string): number {
    const known = this.#frames.findIndex((frame) => frame.frameId === frameId);
    return known >= 0 ? known : this.#frames.push({ frameId, offset: 0, floor: 0, highest: this.#start }) - 1;
  }

  /** Takes note of nodes, by Chrome's ids, that are about to be shown. */
  note(frameId: string, documentId: string, nodeIds: Iterable<number>): DocumentRefs {
    const frameNumber = this.numberOf(frameId);
    const frame = this.#frames[frameNumber];
    if (frame === undefined) throw new RangeError("A frame that has a number is not in the book.");
    let least = Number.POSITIVE_INFINITY;
    let greatest = 0;
    for (const id of nodeIds) {
      least = Math.min(least, id);
      greatest = Math.max(greatest, id);
    }
    if (greatest > 0 && frame.documentId !== documentId) {
      frame.documentId = documentId;
      frame.floor = frame.highest;
      if (least + frame.offset <= frame.floor) frame.offset = frame.floor;
    }
    frame.highest = Math.max(frame.highest, greatest + frame.offset);
    return { frameNumber, offset: frame.offset };
  }

  /** The ref of one node. */
  refOf(frameId: string, documentId: string, backendNodeId: number): string {
    const { frameNumber, offset } = this.note(frameId, documentId, [backendNodeId]);
    return formatRef({ frameNumber, number: backendNodeId + offset });
  }

  /** Where the node of a ref is to be found; nothing where the ref is of a document that was left. */
  find(frameNumber: number, number: number): RefTarget | undefined {
    const frame = this.#frames[frameNumber];
    if (frame === undefined || number <= frame.floor) return undefined;
    return { frameId: frame.frameId, documentId: frame.documentId, backendNodeId: number - frame.offset };
  }
}
