/** Whether there is so little room that what stands in one line elsewhere takes several. As in the style sheets. */
import { createSignal } from "solid-js";

const query = window.matchMedia("(max-width: 620px)");
const [narrow, setNarrow] = createSignal(query.matches);
query.addEventListener("change", (event) => setNarrow(event.matches));

export { narrow };
