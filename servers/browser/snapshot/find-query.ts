import { ToolError } from "../../shared/errors.ts";

/** What is looked for: `Pay`, `button`, `button "Pay"`. */
export interface Query {
  /** As it has to stand in a line: lower case, single spaces, no quotation marks. */
  readonly phrase: string;
  /** What it begins with, where that is a role that a snapshot shows: CSS for most elements that have it. */
  readonly roleSelector: string | undefined;
  /** What follows the role, or all of it. */
  readonly rest: string;
}

const SELECTORS: Readonly<Record<string, string>> = {
  link: "a[href],area[href]",
  button: "button,input[type=button],input[type=submit],input[type=reset],input[type=image]",
  checkbox: "input[type=checkbox]",
  radio: "input[type=radio]",
  textbox:
    "input:not([type]),input[type=text],input[type=email],input[type=tel],input[type=url],input[type=password],textarea,[contenteditable]",
  searchbox: "input[type=search]",
  spinbutton: "input[type=number]",
  slider: "input[type=range]",
  combobox: "select,input[list]",
  listbox: "select[multiple],select[size]",
  option: "option",
  heading: "h1,h2,h3,h4,h5,h6",
  image: "img[alt]",
  table: "table",
  navigation: "nav",
  main: "main",
  aside: "aside",
  form: "form",
  dialog: "dialog",
  group: "fieldset",
  summary: "summary",
  canvas: "canvas",
  frame: "iframe,frame",
  alert: "",
  grid: "",
  menu: "",
  menuitem: "",
  status: "output",
  switch: "",
  tab: "",
  tablist: "",
  treeitem: "",
};

export function parseQuery(find: string): Query {
  const phrase = tidyForSearch(find);
  if (phrase === "") throw new ToolError("invalid_input", "Say what to find: a text, or a role such as button.");
  const [first = "", ...others] = phrase.split(" ");
  const tags = Object.hasOwn(SELECTORS, first) ? SELECTORS[first] : undefined;
  return {
    phrase,
    roleSelector: tags === undefined ? undefined : [`[role=${first}]`, tags].filter((part) => part !== "").join(","),
    rest: tags === undefined ? phrase : others.join(" "),
  };
}

/** Text as it is compared. */
export function tidyForSearch(text: string): string {
  return text.toLowerCase().replaceAll('"', "").replace(/\s+/g, " ").trim();
}
