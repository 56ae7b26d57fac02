/**
 * What is run on an element, as functions of `this` in a world of their own: the page's scripts do not see them and
 * cannot change what they call.
 */

/** Shared by those that look at what is at a point: the element or what belongs to it, through shadow trees. */
const HIT = `
  const isWithin = (node, host) => {
    for (let next = node; next; next = next.assignedSlot ?? next.parentNode ?? next.host) if (next === host) return true;
    return false;
  };
  const hitAt = (element, x, y) => {
    let hit = element.ownerDocument.elementFromPoint(x, y);
    for (let inner = hit; inner?.shadowRoot && (inner = inner.shadowRoot.elementFromPoint(x, y)) && inner !== hit; ) hit = inner;
    const near = element.getRootNode().elementFromPoint?.(x, y) ?? null;
    const labels = [...(element.labels ?? [])];
    const isOurs = (found) => found !== null && (isWithin(found, element) || labels.some((label) => isWithin(found, label)));
    return isOurs(hit) || isOurs(near) ? undefined : (near ?? hit ?? element.ownerDocument.documentElement);
  };
`;

/**
 * Brings the element into view and finds where it can be pressed: `{state, x, y}` in the frame's own coordinates.
 * It is "hidden", "disabled", "moving" or "covered" where it cannot be now.
 */
export const FIND_POINT = `async function (mayBeDisabled) {
  ${HIT}
  if (!this.isConnected) return { state: "gone" };
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  if (element === null) return { state: "gone" };
  const frame = () => new Promise((resolve) => { requestAnimationFrame(resolve); setTimeout(resolve, 100); });
  const boxOf = () => {
    const boxes = [...element.getClientRects()].filter(({ width, height }) => width > 0 && height > 0);
    if (boxes.length > 0 || getComputedStyle(element).display !== "contents") return boxes[0];
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()].find(({ width, height }) => width > 0 && height > 0);
  };
  const isVisible = () => boxOf() !== undefined && getComputedStyle(element).visibility === "visible";
  if (!isVisible()) {
    const label = [...(element.labels ?? [])].find((one) => one.getClientRects().length > 0);
    if (label === undefined) return { state: "hidden" };
  }
  if (!mayBeDisabled && (element.matches(":disabled") || element.getAttribute("aria-disabled") === "true")) return { state: "disabled" };
  const shown = isVisible() ? element : element.labels[0];
  shown.scrollIntoViewIfNeeded(true);
  const pick = () => {
    const box = shown === element ? boxOf() : shown.getClientRects()[0];
    if (box === undefined) return undefined;
    const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
    const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
    return { x: (left + right) / 2, y: (top + bottom) / 2 };
  };
  let point = pick();
  const running = document.getAnimations().filter((animation) => animation.playState === "running");
  if (running.length > 0) {
    // What has just begun to move has hardly moved yet.
    const isYoung = ({ pending, currentTime }) => pending || Number(currentTime) < 50;
    const { timeline } = document;
    const drawnMs = timeline.currentTime;
    let frames = 0;
    do await frame();
    while ((running.some(isYoung) || timeline.currentTime === drawnMs) && ++frames < 6);
    const later = pick();
    // Where hardly a frame was drawn meanwhile, that it has not moved says nothing.
    const isAboutToMove = running.some((animation) => isYoung(animation) && animation.effect?.target?.contains(shown));
    if (isAboutToMove || point?.x !== later?.x || point?.y !== later?.y) return { state: "moving" };
    point = later;
  }
  if (point === undefined) return { state: "hidden" };
  return { state: hitAt(element, point.x, point.y) === undefined ? "ready" : "covered", ...point };
}`;

/** What lies over the element at that point. */
export const FIND_COVER = `function (x, y) { ${HIT} return hitAt(this, x, y) ?? null; }`;

/** From a point in a frame to the same point in the document around it; "covered" where something lies over it there. */
export const LEAVE_FRAME = `function (x, y) {
  ${HIT}
  const box = this.getBoundingClientRect();
  const style = getComputedStyle(this);
  const number = (text) => parseFloat(text) || 0;
  // A frame may be shown larger or smaller than it is.
  const outer = {
    x: box.left + (x + this.clientLeft + number(style.paddingLeft)) * (box.width / this.offsetWidth || 1),
    y: box.top + (y + this.clientTop + number(style.paddingTop)) * (box.height / this.offsetHeight || 1),
  };
  return { state: hitAt(this, outer.x, outer.y) === undefined ? "ready" : "covered", ...outer };
}`;

/** Where the element is in its frame's window, after it was brought into view: `{state, x, y, width, height}`. */
export const FIND_BOX = `function () {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  if (!this.isConnected || element === null) return { state: "gone" };
  element.scrollIntoViewIfNeeded(true);
  const { x, y, width, height } = element.getBoundingClientRect();
  return { state: width < 1 || height < 1 ? "hidden" : "ready", x, y, width, height };
}`;

/** What kind of field the element is: `{kind, isOn, isDisabled, isFull}`. */
export const DESCRIBE_FIELD = `function () {
  // A page may ask for files with a field that it never shows.
  if (!this.isConnected && !(this.localName === "input" && this.type === "file")) return { kind: "gone" };
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  const isDisabled = element.matches(":disabled") || element.getAttribute("aria-disabled") === "true" || element.readOnly === true;
  const role = element.getAttribute("role") ?? "";
  const tag = element.localName;
  const type = tag === "input" ? element.type : "";
  if (type === "file") return { kind: "file", isDisabled };
  if (type === "checkbox" || type === "radio") return { kind: "check", isOn: element.checked, isRadio: type === "radio", isDisabled };
  if (["checkbox", "switch", "radio", "menuitemcheckbox", "menuitemradio"].includes(role))
    return { kind: "check", isOn: element.getAttribute("aria-checked") === "true", isRadio: /radio/.test(role), isDisabled };
  if (tag === "select") return { kind: "choice", isDisabled };
  if (["date", "time", "datetime-local", "month", "week", "range", "color"].includes(type)) return { kind: "value", isDisabled };
  if (["submit", "button", "reset", "image", "hidden"].includes(type)) return { kind: "none", isDisabled };
  if (tag === "input" || tag === "textarea") return { kind: "text", isDisabled, isFull: element.value !== "" };
  if (element.isContentEditable) return { kind: "text", isDisabled, isFull: element.textContent !== "" };
  return { kind: "none", isDisabled };
}`;

/** Puts the cursor in, behind the text. */
export const FOCUS = `function () {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  element.scrollIntoViewIfNeeded?.(true);
  element.focus();
  if (typeof element.select === "function") {
    try { element.setSelectionRange(element.value.length, element.value.length); } catch {}
    return;
  }
  if (!element.isContentEditable) return;
  const selection = element.ownerDocument.getSelection();
  selection.selectAllChildren(element);
  selection.collapseToEnd();
}`;

/**
 * Puts text in place of what is there, as if it were typed; false where the element does not take the focus. In one go,
 * so that nobody takes the focus away before the text comes.
 */
export const REPLACE_TEXT = `function (text) {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  element.scrollIntoViewIfNeeded?.(true);
  element.focus();
  if (element.getRootNode().activeElement !== element && !element.isContentEditable) return false;
  if (typeof element.select === "function") element.select();
  else element.ownerDocument.getSelection().selectAllChildren(element);
  element.ownerDocument.execCommand(text === "" ? "delete" : "insertText", false, text);
  return true;
}`;

/** Chooses options by their label or value; false where there is no such option, or one is disabled. */
export const CHOOSE = `function (wanted) {
  const plain = (text) => text.replace(/\\s+/g, " ").trim();
  const options = [...this.options].filter((option) => !option.disabled && !option.closest("optgroup:disabled"));
  const find = (text) => options.find((option) => plain(option.label) === plain(text))
    ?? options.find((option) => option.value === text)
    ?? options.find((option) => plain(option.label).toLowerCase() === plain(text).toLowerCase());
  const chosen = wanted.map(find);
  if (chosen.includes(undefined) || (!this.multiple && chosen.length !== 1)) return false;
  this.focus();
  for (const option of this.options) option.selected = chosen.includes(option);
  this.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  this.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}`;

/** Sets a date, a time, a number on a scale or a color; false where the field does not take it. */
export const SET_VALUE = `function (value) {
  const before = this.value;
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  set.call(this, value);
  const isTaken = this.type === "range" ? Number(this.value) === Number(value) : this.value.toLowerCase() === value.toLowerCase();
  if (!isTaken) {
    set.call(this, before);
    return false;
  }
  this.focus();
  this.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  this.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}`;
