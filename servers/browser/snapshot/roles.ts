import { type AccessibilityNode, nameOf, propertyOf, roleOf } from "./accessibility-node.ts";

/** How a node is written. */
export type Kind =
  | "skipped"
  | "text"
  | "break"
  /** Part of the text around it. */
  | "inline"
  /** On lines of its own. */
  | "block"
  | "heading"
  | "item"
  | "row"
  /** A label, which what it is for may repeat as its name. */
  | "label"
  /** A name, and nothing inside that matters. */
  | "leaf"
  | "frame"
  /** With its ref, and what it holds one step further in. */
  | "region"
  /** With its ref: it can be acted on, and its name says what is inside. */
  | "control"
  /** With its ref and its value, which what is inside repeats. */
  | "field";

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ...all("skipped", "InlineTextBox ListMarker MenuListPopup scrollbar splitter"),
  ...all("text", "StaticText"),
  ...all("break", "LineBreak separator"),
  ...all("inline", "none strong emphasis code mark time abbr Abbr superscript subscript insertion deletion"),
  ...all("inline", "suggestion term Ruby RubyAnnotation"),
  ...all("heading", "heading"),
  ...all("item", "listitem"),
  ...all("row", "row LayoutTableRow"),
  ...all("label", "LabelText Legend Figcaption caption"),
  ...all("leaf", "image img progressbar meter math Video Audio PluginObject"),
  ...all("frame", "Iframe IframePresentational"),
  ...all("region", "alert alertdialog banner complementary contentinfo dialog grid main menu menubar navigation"),
  ...all("region", "radiogroup search status table tablist tabpanel toolbar tree treegrid"),
  ...all("control", "button checkbox combobox ComboBoxMenuButton DisclosureTriangle link listbox menuitem"),
  ...all("control", "menuitemcheckbox menuitemradio option radio switch tab treeitem Canvas PopUpButton ToggleButton"),
  ...all("field", "textbox searchbox spinbutton slider Date DateTime InputTime ColorWell"),
]);
/** Regions only where they have a name. */
const NAMED_REGIONS: ReadonlySet<string> = new Set(["article", "feed", "figure", "form", "group", "log", "region"]);
const CELLS: ReadonlySet<string> = new Set(["cell", "gridcell", "columnheader", "rowheader", "LayoutTableCell"]);

/** Roles that Chrome has made up, and long ones, as models know them. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  Audio: "audio",
  Canvas: "canvas",
  ColorWell: "color",
  ComboBoxMenuButton: "combobox",
  Date: "date",
  DateTime: "datetime",
  DisclosureTriangle: "summary",
  InputTime: "time",
  PluginObject: "plugin",
  PopUpButton: "button",
  ToggleButton: "button",
  Video: "video",
  complementary: "aside",
  contentinfo: "footer",
  generic: "textbox",
};

export function kindOf(node: AccessibilityNode): Kind {
  const role = roleOf(node);
  const kind = KINDS.get(role);
  if (kind === "skipped") return kind;
  if (node.ignored) return "inline";
  if (NAMED_REGIONS.has(role)) return nameOf(node) === "" ? "block" : "region";
  // `contenteditable` has no role of its own, and a combobox may be a text field.
  const isEditable = propertyOf(node, "editable") !== undefined && propertyOf(node, "focusable") === true;
  if (isEditable && (kind === undefined || kind === "control")) return "field";
  return kind ?? "block";
}

export function isCell(node: AccessibilityNode): boolean {
  return CELLS.has(roleOf(node));
}

export function shownRole(node: AccessibilityNode): string {
  const role = roleOf(node);
  return SHORT_NAMES[role] ?? role;
}

function all(kind: Kind, roles: string): [string, Kind][] {
  return roles.split(" ").map((role) => [role, kind]);
}
