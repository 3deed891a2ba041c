/**
 * This browser's session. Its cookie is out of reach here; what this origin keeps is the proof that goes with it, which
 * every request shows: other ports of this host are sent the cookie too, and have no proof.
 */

const PROOF_KEY = "omnitide.proof";
const CODE_PARAMETER = "login";

let remembered: string | null = null;

export function proof(): string {
  if (remembered === null) {
    try {
      remembered = localStorage.getItem(PROOF_KEY) ?? "";
    } catch {
      remembered = "";
    }
  }
  return remembered;
}

export function keepProof(text: string): void {
  remembered = text;
  try {
    if (text) localStorage.setItem(PROOF_KEY, text);
    else localStorage.removeItem(PROOF_KEY);
  } catch {
    // Storage can be forbidden: then the session lasts as long as this page.
  }
}

/** Another page of this origin has logged in or out. */
export function onProofChanged(listener: () => void): void {
  addEventListener("storage", (event) => {
    if (event.key !== PROOF_KEY && event.key !== null) return;
    remembered = null;
    listener();
  });
}

/** The code of a login link, which leaves the address bar and the history before anything else happens. */
export function takeCode(): string {
  const url = new URL(location.href);
  const code = url.searchParams.get(CODE_PARAMETER) ?? "";
  if (url.searchParams.has(CODE_PARAMETER)) {
    url.searchParams.delete(CODE_PARAMETER);
    history.replaceState(history.state, "", url.pathname + url.search + url.hash);
  }
  return code;
}

/** Which browser this is, for the list of tokens. */
export function browserName(agent: string = navigator.userAgent): string {
  const browser =
    [
      ["Edg/", "Edge"],
      ["OPR/", "Opera"],
      ["Firefox/", "Firefox"],
      ["Chrome/", "Chrome"],
      ["Safari/", "Safari"],
    ].find(([mark]) => agent.includes(mark ?? ""))?.[1] ?? "a browser";
  const system =
    [
      ["Android", "Android"],
      ["iPhone", "iOS"],
      ["iPad", "iOS"],
      ["CrOS", "ChromeOS"],
      ["Windows", "Windows"],
      ["Mac OS", "macOS"],
      ["Linux", "Linux"],
    ].find(([mark]) => agent.includes(mark ?? ""))?.[1] ?? "";
  return system ? `${browser} on ${system}` : browser;
}
