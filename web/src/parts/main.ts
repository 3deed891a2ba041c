/** The page itself, of which Tab begins: not what led there, which may be the name of another page by now. */
export function focusMain(): void {
  document.getElementById("main")?.focus({ preventScroll: true });
}
