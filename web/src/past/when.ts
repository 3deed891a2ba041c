/** The revision that the whole panel looks at; 0: now. In one place, for whatever must know that this is not now. */
import { createSignal } from "solid-js";

const [pastRevision, setPastRevision] = createSignal(0);

export { pastRevision, setPastRevision };

/** Why nothing is done from here. */
export const IN_THE_PAST = "this is the past: go back to now first";
/** In place of what only the present knows. */
export const ONLY_NOW = "What you see is the past, and this is told of now only";
/** In place of a figure of use, of which no revision keeps any. */
export const USE_OF_NOW = "use is shown of now only";
