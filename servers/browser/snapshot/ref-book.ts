import * as z from "zod";
import { formatRef } from "./ref.ts";

/** What is known of one frame's refs. */
const frameSchema = z.object({
  number: z.int(),
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
type FrameRefs = RefRecord[number];

/** Those that were numbered first are forgotten above this, and their refs with them. */
const MAX_FRAMES = 200;

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
 * Numbers the frames of all tabs, in the order in which they are first seen, and the nodes of their documents so that no
 * number is used twice: Chrome's own ids start again in another process, and a ref of a page that was left, or of another
 * tab, must not be taken for an element of this one.
 */
export class RefBook {
  readonly #frames: Map<string, FrameRefs>;
  #nextNumber: number;

  constructor(record: RefRecord = []) {
    this.#frames = new Map(record.map((frame) => [frame.frameId, frame]));
    this.#nextNumber = Math.max(-1, ...record.map(({ number }) => number)) + 1;
  }

  /** What the book is made of again after an eviction. */
  get record(): RefRecord {
    return [...this.#frames.values()];
  }

  /** 0 for the first page, whose refs show no frame. A frame keeps its number. */
  numberOf(frameId: string): number {
    return this.#frame(frameId).number;
  }

  /** Takes note of nodes, by Chrome's ids, that are about to be shown. */
  note(frameId: string, documentId: string, nodeIds: Iterable<number>): DocumentRefs {
    const frame = this.#frame(frameId);
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
    return { frameNumber: frame.number, offset: frame.offset };
  }

  /** The ref of one node. */
  refOf(frameId: string, documentId: string, backendNodeId: number): string {
    const { frameNumber, offset } = this.note(frameId, documentId, [backendNodeId]);
    return formatRef({ frameNumber, number: backendNodeId + offset });
  }

  /** Where the node of a ref is to be found; nothing where it was never shown, or its document was left. */
  find(frameNumber: number, number: number): RefTarget | undefined {
    const frame = [...this.#frames.values()].find((candidate) => candidate.number === frameNumber);
    if (frame === undefined || number <= frame.floor || number > frame.highest) return undefined;
    return { frameId: frame.frameId, documentId: frame.documentId, backendNodeId: number - frame.offset };
  }

  #frame(frameId: string): FrameRefs {
    const known = this.#frames.get(frameId);
    if (known !== undefined) return known;
    const frame = { number: this.#nextNumber, frameId, offset: 0, floor: 0, highest: 0 };
    this.#nextNumber += 1;
    this.#frames.set(frameId, frame);
    const [oldest] = [...this.#frames.values()].filter(({ number }) => number > 0);
    if (this.#frames.size > MAX_FRAMES && oldest !== undefined) this.#frames.delete(oldest.frameId);
    return frame;
  }
}
