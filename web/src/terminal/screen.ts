/** The terminal itself: xterm.js, with what a program could do to the page by its output taken out. */
import "@xterm/xterm/css/xterm.css";
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import { sheetsOf } from "./sheets";

const SCROLLBACK = 5_000;
const LEAST = { rows: 4, columns: 20 };

export interface Screen {
  readonly terminal: Terminal;
  /** As large as there is room for. */
  grow(): void;
  dress(): void;
  end(): void;
}

/** OSC sequences that would reach beyond the screen: titles (0, 1, 2), links (8), the clipboard (52). */
const BEYOND = [0, 1, 2, 8, 52];

/** `aloud`: for whoever hears it; some keyboards on a screen then write nothing. */
export function openScreen(host: HTMLElement, aloud: boolean): Screen {
  const sheets = sheetsOf(document);
  const terminal = new Terminal({
    allowProposedApi: false,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: getComputedStyle(host).fontFamily,
    fontSize: 13,
    minimumContrastRatio: 4.5,
    screenReaderMode: aloud,
    scrollback: SCROLLBACK,
    theme: themeOf(host),
    linkHandler: { activate: () => undefined },
  });
  for (const code of BEYOND) terminal.parser.registerOscHandler(code, () => true);
  const fitting = new FitAddon();
  terminal.loadAddon(fitting);
  sheets.while(() => terminal.open(host));
  const grow = () => {
    const room = fitting.proposeDimensions();
    if (!room || Number.isNaN(room.cols) || Number.isNaN(room.rows)) return;
    const columns = Math.max(LEAST.columns, room.cols);
    const rows = Math.max(LEAST.rows, room.rows);
    if (columns !== terminal.cols || rows !== terminal.rows) terminal.resize(columns, rows);
  };
  grow();
  return {
    terminal,
    grow,
    dress: () => {
      terminal.options.theme = themeOf(host);
    },
    end: () => {
      terminal.dispose();
      sheets.end();
    },
  };
}

/** From the page's own colours, as they are now. */
function themeOf(host: HTMLElement): ITheme {
  const styles = getComputedStyle(host);
  // Resolved by the browser: xterm takes no `light-dark()`.
  const probe = document.createElement("span");
  host.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const theme: ITheme = {
    background: styles.backgroundColor,
    foreground: colour("--text"),
    cursor: colour("--accent"),
    cursorAccent: styles.backgroundColor,
    selectionBackground: colour("--term-selection"),
    black: colour("--term-black"),
    red: colour("--bad"),
    green: colour("--good"),
    yellow: colour("--wait"),
    blue: colour("--busy"),
    magenta: colour("--unknown"),
    cyan: colour("--accent"),
    white: colour("--term-white"),
    brightBlack: colour("--text-faint"),
    brightRed: colour("--bad"),
    brightGreen: colour("--good"),
    brightYellow: colour("--wait"),
    brightBlue: colour("--busy"),
    brightMagenta: colour("--unknown"),
    brightCyan: colour("--accent-strong"),
    brightWhite: colour("--text"),
    scrollbarSliderBackground: colour("--term-slider"),
    scrollbarSliderHoverBackground: colour("--text-faint"),
    scrollbarSliderActiveBackground: colour("--text-faint"),
  };
  probe.remove();
  return theme;
}
