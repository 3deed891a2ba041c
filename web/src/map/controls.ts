/**
 * Pointer, wheel and keys on the map, as in a strategy game: drag selects, right gives orders, wheel goes nearer. The middle
 * button, the space bar or the tool moves the map; on a touch screen one finger does, unless the tool says otherwise, and
 * two go nearer.
 */
import { singleKeys } from "../actions/keys";
import { type KeyReactions, onMap, onPage } from "./keys";
import { type Box, between, type Point } from "./model/geometry";

export interface Reactions extends Omit<KeyReactions, "hold"> {
  click(at: Point, add: boolean): void;
  open(at: Point): void;
  order(at: Point): void;
  hover(at: Point | undefined): void;
  marquee(box: Box | undefined): void;
  select(box: Box, add: boolean): void;
  /** Whether dragging moves the map; until somebody chooses, a finger's does and a mouse's selects. */
  moving(finger: boolean): boolean;
}

const DRAG_PX = 4;
const LINE_PX = 16;

export class Controls {
  readonly #ended = new AbortController();
  readonly #fingers = new Map<number, Point>();
  #start: Point | undefined;
  #last: Point | undefined;
  #dragged = false;
  #panning = false;
  #space = false;
  readonly #keyed: KeyReactions;

  constructor(
    readonly host: HTMLElement,
    readonly reactions: Reactions,
  ) {
    this.#keyed = {
      ...reactions,
      hold: () => {
        this.#space = true;
      },
    };
    const { signal } = this.#ended;
    host.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    host.addEventListener("pointermove", (event) => this.#move(event), { signal });
    host.addEventListener("pointerup", (event) => this.#up(event), { signal });
    host.addEventListener("pointercancel", (event) => this.#cancel(event), { signal });
    // A finger that is lifted leaves too: what it told stays until the next touch.
    host.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && reactions.hover(undefined), {
      signal,
    });
    host.addEventListener("wheel", (event) => this.#wheel(event), { signal, passive: false });
    host.addEventListener("dblclick", (event) => reactions.open(this.#at(event)), { signal });
    host.addEventListener("contextmenu", (event) => this.#menu(event), { signal });
    host.addEventListener("keydown", (event) => this.#key(event), { signal });
    addEventListener("keydown", (event) => this.#anywhere(event), { signal });
    addEventListener("keyup", (event) => this.#keyUp(event), { signal });
    const release = () => {
      this.#space = false;
    };
    host.addEventListener("blur", release, { signal });
    addEventListener("blur", release, { signal });
  }

  end(): void {
    this.#ended.abort();
  }

  #at(event: MouseEvent): Point {
    const box = this.host.getBoundingClientRect();
    return { x: event.clientX - box.x, y: event.clientY - box.y };
  }

  #down(event: PointerEvent): void {
    if (event.button === 2) return;
    const at = this.#at(event);
    this.host.focus({ preventScroll: true });
    this.host.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.#fingers.set(event.pointerId, at);
    this.#start = at;
    this.#last = at;
    this.#dragged = false;
    const finger = event.pointerType === "touch" && !event.shiftKey;
    this.#panning = event.button === 1 || this.#space || this.reactions.moving(finger);
    if (event.button === 1) event.preventDefault();
  }

  #move(event: PointerEvent): void {
    const at = this.#at(event);
    if (!this.#start || !this.#last) {
      if (event.pointerType !== "touch") this.reactions.hover(at);
      return;
    }
    if (this.#fingers.size === 2) {
      this.#pinch(event.pointerId, at);
      return;
    }
    if (!this.#dragged && Math.hypot(at.x - this.#start.x, at.y - this.#start.y) < DRAG_PX) return;
    this.#dragged = true;
    if (this.#panning) this.reactions.pan(at.x - this.#last.x, at.y - this.#last.y);
    else this.reactions.marquee(between(this.#start, at));
    this.#last = at;
  }

  #pinch(id: number, at: Point): void {
    const before = this.#fingers.get(id);
    const other = [...this.#fingers].find(([one]) => one !== id)?.[1];
    this.#fingers.set(id, at);
    // Whichever finger stays goes on moving the map, and selects nothing.
    if (!this.#panning) this.reactions.marquee(undefined);
    this.#panning = true;
    this.#dragged = true;
    if (!before || !other) return;
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(at.x - other.x, at.y - other.y);
    this.reactions.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    if (was > 1 && is > 1) this.reactions.zoom({ x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 }, is / was);
  }

  #up(event: PointerEvent): void {
    this.#fingers.delete(event.pointerId);
    const at = this.#at(event);
    const start = this.#start;
    const [left] = this.#fingers.values();
    if (left) this.#last = left;
    if (!start || left) return;
    const add = event.shiftKey || event.ctrlKey || event.metaKey;
    this.#start = undefined;
    this.#last = undefined;
    if (!this.#dragged) {
      if (event.button === 0) this.reactions.click(at, add);
    } else if (!this.#panning) {
      this.reactions.marquee(undefined);
      this.reactions.select(between(start, at), add);
    }
  }

  #cancel(event: PointerEvent): void {
    this.#fingers.delete(event.pointerId);
    this.#start = undefined;
    this.#last = undefined;
    this.reactions.marquee(undefined);
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY;
    const speed = event.ctrlKey ? 0.01 : 0.0016;
    this.reactions.zoom(this.#at(event), Math.exp(-Math.max(-600, Math.min(600, pixels)) * speed));
  }

  #menu(event: MouseEvent): void {
    event.preventDefault();
    const box = this.host.getBoundingClientRect();
    const byKey = event.clientX === 0 && event.clientY === 0;
    this.reactions.order(byKey ? { x: box.width / 2, y: box.height / 2 } : this.#at(event));
  }

  #key(event: KeyboardEvent): void {
    const meant = onMap(event);
    if (!meant) return;
    meant.does(this.#keyed, event.key);
    event.preventDefault();
  }

  #keyUp(event: KeyboardEvent): void {
    if (event.key === " ") this.#space = false;
  }

  /** Wherever on the page the focus is, but for what the element that has it does with a key itself. */
  #anywhere(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || keeps(event)) return;
    // One letter, digit or sign does something beside the map only if that is wanted.
    const sign = event.key.length === 1 && event.key !== " " && !event.ctrlKey;
    if (sign && !singleKeys() && event.target !== this.host) return;
    const group = onPage(event);
    const meant = group ?? onMap(event);
    if (!meant) return;
    // A link or button that has the focus would keep the key that acts where these lead to.
    if (!group && LEADING.test(event.key)) this.host.focus({ preventScroll: true });
    meant.does(this.#keyed, group ? event.code : event.key);
    event.preventDefault();
  }
}

const FIELDS = "input, textarea, select, dialog, [contenteditable], [role=menu]";
/** Which scroll what the focus is in. */
const SCROLLING = /^(Arrow.*|Page.*|Home|End| )$/;

/** Which go from node to node, and from district to district. */
const LEADING = /^(Arrow.*|Page.*|[[\]])$/;

/** Whether the element that has the focus, or a dialog above all of it, is whom a key is meant for. */
function keeps(event: KeyboardEvent): boolean {
  if (document.querySelector("dialog:modal")) return true;
  const [at] = event.composedPath();
  if (!(at instanceof Element)) return false;
  if (at.closest(FIELDS)) return true;
  if ((event.key === "Enter" || event.key === " ") && at.closest("button, a[href], summary")) return true;
  return SCROLLING.test(event.key) && at.closest(".map-card") !== null;
}
