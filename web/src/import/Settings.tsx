/** What a shell would know besides the files: which of them are meant, and with which names. */
import { For, Show } from "solid-js";
import { NamespaceChoice } from "../namespaces/NamespaceChoice";
import { visible } from "../words/format";
import { type Dropped, mayBeCompose, namesProject } from "./dropped";

export interface Options {
  project: string;
  /** On the nodes: relative paths of mounts are below it. */
  folder: string;
  profiles: string;
  /** `NAME=value`, one a line. */
  variables: string;
  namespace: string;
}

interface Props {
  files: readonly Dropped[];
  compose: readonly string[];
  options: Options;
  onCompose(paths: readonly string[]): void;
  onOptions(options: Options): void;
}

export function Settings(props: Props) {
  const set = (change: Partial<Options>) => props.onOptions({ ...props.options, ...change });
  const beside = () => props.files.filter((one) => !mayBeCompose(one));
  const toggle = (path: string) => {
    const on = props.compose.includes(path);
    props.onCompose(on ? props.compose.filter((one) => one !== path) : [...props.compose, path]);
  };
  return (
    <section class="card block" aria-labelledby="given-title">
      <h2 id="given-title">What is given</h2>
      <fieldset class="given-files">
        <legend class="soft">Compose files; a later one changes an earlier one</legend>
        <For each={props.files.filter(mayBeCompose)}>
          {(one) => (
            <label class="menu-line">
              <input type="checkbox" checked={props.compose.includes(one.path)} onChange={() => toggle(one.path)} />
              <span class="ellipsis">{visible(one.path)}</span>
              <Show when={props.compose.length > 1 && props.compose.includes(one.path)}>
                <span class="faint">{props.compose.indexOf(one.path) + 1}.</span>
              </Show>
            </label>
          )}
        </For>
      </fieldset>
      <Show when={beside().length}>
        <p class="soft">
          Read where a Compose file names them:{" "}
          {beside()
            .map((one) => visible(one.path))
            .join(", ")}
        </p>
      </Show>
      <div class="given-fields">
        <label class="asked">
          Project
          <input
            class="field"
            required={!namesProject(props.files, props.compose)}
            placeholder={namesProject(props.files, props.compose) ? "as the files say" : "shop"}
            value={props.options.project}
            onInput={(event) => set({ project: event.currentTarget.value })}
          />
        </label>
        <NamespaceChoice class="asked" value={props.options.namespace} onChosen={(namespace) => set({ namespace })} />
        <label class="asked">
          Folder on the nodes, for relative paths
          <input
            class="field"
            required
            pattern="/.*"
            value={props.options.folder}
            onChange={(event) => {
              if (event.currentTarget.reportValidity()) set({ folder: event.currentTarget.value });
            }}
          />
        </label>
        <label class="asked">
          Profiles
          <input
            class="field"
            placeholder="none; * for all"
            value={props.options.profiles}
            onInput={(event) => set({ profiles: event.currentTarget.value })}
          />
        </label>
      </div>
      <label class="asked">
        Variables, NAME=value, one a line
        <textarea
          class="field given-variables"
          rows="3"
          spellcheck={false}
          value={props.options.variables}
          onInput={(event) => set({ variables: event.currentTarget.value })}
        />
      </label>
    </section>
  );
}
