import type { DocumentRefs } from "./ref-book.ts";

/** One node of Chrome's accessibility tree, as CDP's `Accessibility.AXNode` gives it. */
export interface AccessibilityNode {
  readonly nodeId: string;
  readonly ignored: boolean;
  readonly role?: Field;
  readonly name?: Field;
  readonly value?: Field;
  readonly properties?: readonly { readonly name: string; readonly value: Field }[];
  readonly parentId?: string;
  readonly childIds?: readonly string[];
  readonly backendDOMNodeId?: number;
  /** Ours: the pointer can do something with it although its role does not say so. */
  readonly isPointable?: true;
}

interface Field {
  readonly value?: unknown;
}

/** What one frame shows. Nodes that `childIds` names and `nodes` lacks were not read. */
export interface FrameTree {
  readonly refs: DocumentRefs;
  readonly url: string;
  readonly root: AccessibilityNode | undefined;
  readonly nodes: ReadonlyMap<string, AccessibilityNode>;
  /** Frames in it, by the DOM node of their `<iframe>`. */
  readonly frames: ReadonlyMap<number, FrameTree>;
  readonly isWhole: boolean;
}

export function roleOf({ role }: AccessibilityNode): string {
  return textOf(role);
}

export function nameOf({ name }: AccessibilityNode): string {
  return textOf(name);
}

export function valueOf({ value }: AccessibilityNode): string {
  return textOf(value);
}

export function propertyOf({ properties = [] }: AccessibilityNode, name: string): unknown {
  return properties.find((property) => property.name === name)?.value.value;
}

/** Whether a node that is no control by its role can be acted on. */
export function isActive(node: AccessibilityNode): boolean {
  return node.isPointable === true || propertyOf(node, "focusable") === true;
}

/** The children of a node that were read. */
export function childrenOf({ childIds = [] }: AccessibilityNode, nodes: FrameTree["nodes"]): AccessibilityNode[] {
  return childIds.map((id) => nodes.get(id)).filter((child) => child !== undefined);
}

/** All that is below a node and was read, in document order. */
export function* descendantsOf(
  node: AccessibilityNode,
  nodes: FrameTree["nodes"],
): Generator<AccessibilityNode, undefined> {
  const rest = childrenOf(node, nodes).toReversed();
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    yield next;
    rest.push(...childrenOf(next, nodes).toReversed());
  }
}

function textOf(field: Field | undefined): string {
  const value = field?.value;
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
