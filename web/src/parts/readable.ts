/**
 * Addresses that somebody typed or that were cut: what stands in them is read as far as it can be, and never throws. The
 * router decodes some of an address and would throw at a percent sign that begins nothing.
 */
/** As it was before it was put into an address; as it stands there, if it is no such text. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The same address with each stray percent sign escaped; the text itself if there is none. Of what stands behind the `?`
 * nothing throws. */
export function mended(path: string, hash: string): string {
  return whole(path, decodeURI) + whole(hash, decodeURIComponent);
}

function whole(text: string, decode: (text: string) => string): string {
  try {
    decode(text);
    return text;
  } catch {
    return text.replaceAll("%", "%25");
  }
}

/** Before the router sees it. */
export function mendAddress(): void {
  const { pathname, search, hash } = location;
  if (mended(pathname, "") === pathname && mended("", hash) === hash) return;
  history.replaceState(history.state, "", mended(pathname, "") + search + mended("", hash));
}
