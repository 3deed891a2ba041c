import Plus from "lucide-solid/icons/plus";
import { For } from "solid-js";
import { useGiven } from "../parts/context";
import { visible } from "../words/format";
import { ask } from "./namespaces";

/** Which namespace, of those that there are; and a button that makes one and takes it. */
export function NamespaceChoice(props: {
  value: string;
  onChosen(name: string): void;
  quiet?: boolean;
  class: string;
}) {
  const { fabric } = useGiven();
  // One that has just been made comes with the next change of what is seen.
  const names = () => [...new Set([...[...fabric.all("namespace").values()].map((one) => one.name), props.value])];
  return (
    <span class="namespace-choice">
      <label class={props.class}>
        <span class={props.quiet ? "soft" : ""}>Namespace</span>
        <select class="field" onChange={(event) => props.onChosen(event.currentTarget.value)}>
          <For each={names()}>
            {(name) => (
              <option value={name} selected={name === props.value}>
                {visible(name)}
              </option>
            )}
          </For>
        </select>
      </label>
      <button
        type="button"
        class="button"
        aria-label="New namespace"
        title="New namespace"
        onClick={() => ask({ kind: "make", made: props.onChosen })}
      >
        <Plus size={14} aria-hidden="true" />
        New
      </button>
    </span>
  );
}
