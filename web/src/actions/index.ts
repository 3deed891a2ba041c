/** Acting: one registry of what can be done, for buttons, keys, palette and map. Imports state, api, words and parts. */
export { ActionBar } from "./ActionBar";
export type { Action } from "./action";
export { begin, useChosen } from "./desk";
export { follow, hindranceOf, openingsFor } from "./openings";
export { ACTIONS, actionById, actionsFor, hindrance } from "./registry";
export { agentHref, hrefOf, instanceHref, nameOf, nodeHref, type Target } from "./target";
export { tell } from "./toasts";
