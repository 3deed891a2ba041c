/** Some events in short, what happened again and again as one line that leads to all of it. */
import { A } from "@solidjs/router";
import { For, Show } from "solid-js";
import { useGiven } from "../../parts/context";
import { Mark } from "../../parts/State";
import { dateTime, span, visible } from "../../words/format";
import { subjectHref } from "../subjects";
import { type Line, restOf, tellLine, wholeHref } from "./fold";

interface Props {
  lines: readonly Line[];
  /** The page's own subject, of which it need not be said. */
  about?: string;
}

export function EventLines(props: Props) {
  const { fabric, nowMs } = useGiven();
  return (
    <ul class="list">
      <For each={props.lines}>
        {(line) => {
          const told = tellLine(line);
          const [first] = line.events;
          const alone = line.events.every((one) => one.subject === first?.subject);
          const isAgent = (id: string) => fabric.get("agent", id) !== undefined;
          const rest = restOf(line, isAgent);
          const href = alone ? subjectHref(line.event.subject) : "";
          return (
            <li>
              <Mark tone={told.tone} />
              <span class="list-words">
                <Show when={!alone || line.event.subject !== props.about}>
                  <Show when={href} fallback={<strong>{visible(told.subject)}</strong>}>
                    <A href={href}>
                      <strong>{visible(told.subject)}</strong>
                    </A>
                  </Show>{" "}
                </Show>
                <span class="soft">{visible(told.text)}</span>
                <Show when={told.times}>
                  <span class="soft">, </span>
                  <A href={wholeHref(line, isAgent)}>{told.times}</A>
                </Show>
                <Show when={told.node}>
                  <span class="faint"> on {visible(told.node)}</span>
                </Show>
                <Show when={line.rest}>
                  <span class="soft">, </span>
                  <A href={rest.href}>
                    and {line.rest} more of {visible(rest.name)}
                  </A>
                </Show>
              </span>
              <time datetime={line.event.time} title={dateTime(told.atMs)}>
                {span(nowMs() - told.atMs)} ago
              </time>
            </li>
          );
        }}
      </For>
    </ul>
  );
}
