import { For } from "solid-js";
import { visible } from "../words/format";
import { Finder } from "./Finder";
import { QUESTION_WORDS, QUESTIONS, type Question } from "./model/colours";
import type { Sought } from "./reacting";

interface Props {
  labels: readonly string[];
  by: string;
  question: Question;
  setBy(label: string): void;
  ask(question: Question): void;
  find(found: Sought): void;
}

/** What the map is to show, and the way to whatever has a name. */
export function Head(props: Props) {
  return (
    <header class="page-head map-head">
      <h1>Map</h1>
      <div class="page-tools">
        <Finder find={(found) => props.find(found)} />
        <label class="map-by">
          <span aria-hidden="true">Districts by</span>
          <select
            class="field"
            aria-label="Districts by"
            value={props.by}
            onChange={(event) => props.setBy(event.currentTarget.value)}
          >
            <For each={props.labels}>{(name) => <option value={name}>{visible(name)}</option>}</For>
          </select>
        </label>
        <div class="choice small" role="radiogroup" aria-label="Colour by">
          <For each={QUESTIONS}>
            {(one) => (
              <label>
                <input type="radio" name="question" checked={props.question === one} onChange={() => props.ask(one)} />
                {QUESTION_WORDS[one]}
              </label>
            )}
          </For>
        </div>
      </div>
    </header>
  );
}
