/** Whether there is no connection to Nexus. In one place, for whatever would ask it to do something. */
import { createSignal } from "solid-js";

const [cutOff, setCutOff] = createSignal(false);

export { cutOff, setCutOff };

/** Why nothing is done from here. */
export const CUT_OFF = "there is no connection to Nexus: it can be done when that is back";
