/** A terminal that somebody has just asked for runs its shell at once; an address that is opened or loaded anew does not. */
let wanted = "";

export function wantTerminal(instance: string): void {
  wanted = instance;
}

/** True once. */
export function takeWanted(instance: string): boolean {
  const mine = wanted === instance;
  wanted = "";
  return mine;
}
