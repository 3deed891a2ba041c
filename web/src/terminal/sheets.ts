/**
 * What lets xterm.js draw under a policy without `unsafe-inline`. It makes `<style>` elements while it is opened and
 * `style` attributes on the spans of its rows, neither of which the policy lets work. Sheets that a script constructs,
 * and styles that it sets by the object model, are not inline: the same rules go there. (`documentOverride` would not
 * do: the scroll bar and the rows take the page's own document whatever is given.)
 */

export interface Sheets {
  /** Make the terminal within this. */
  while<T>(making: () => T): T;
  /** Takes the rules away again. */
  end(): void;
}

let open = 0;

export function sheetsOf(root: Document): Sheets {
  const mine: CSSStyleSheet[] = [];
  const make = (name: string): HTMLElement => Document.prototype.createElement.call(root, name);
  open += 1;
  if (open === 1) HTMLSpanElement.prototype.setAttribute = setAttribute;

  /** An element in the place of a `<style>`, whose text is that of a sheet. */
  const style = (): HTMLElement => {
    const sheet = new CSSStyleSheet();
    mine.push(sheet);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    let text = "";
    const place = make("template");
    Object.defineProperty(place, "textContent", {
      get: () => text,
      set: (rules: string) => {
        text = rules;
        sheet.replaceSync(rules);
      },
    });
    return place;
  };

  return {
    while: (making) => {
      const createElement = (name: string) => (name === "style" ? style() : make(name));
      root.createElement = createElement as typeof root.createElement;
      try {
        return making();
      } finally {
        // The prototype's own is behind it.
        Reflect.deleteProperty(root, "createElement");
      }
    },
    end: () => {
      root.adoptedStyleSheets = root.adoptedStyleSheets.filter((one) => !mine.includes(one));
      open -= 1;
      if (open === 0) Reflect.deleteProperty(HTMLSpanElement.prototype, "setAttribute");
    },
  };
}

/** Of a span, while there is a terminal: a `style` that is set as a text is set by the object model. */
function setAttribute(this: HTMLSpanElement, name: string, value: string): void {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}
