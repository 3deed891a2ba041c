/**
 * Long work in parts, each a task of its own: what a person presses meanwhile is heard between two of them, and pictures are
 * drawn.
 */
const { scheduler } = globalThis as { scheduler?: { yield?(): Promise<void> } };

/** Resolves when whatever else waits has had its turn. */
export function turn(): Promise<void> {
  return scheduler?.yield?.() ?? new Promise((resume) => setTimeout(resume));
}
