/** A page about an instance, by the name that a person knows: it goes on to the one with its id. */
import { Navigate, useLocation } from "@solidjs/router";
import { createMemo, Show } from "solid-js";
import type { Instance } from "../../api/types";
import { useGiven } from "../../parts/context";
import { useNames } from "../../parts/names";
import { visible } from "../../words/format";
import { NotFound } from "../NotFound";
import { Gone } from "./parts";

const PARTS = new Set(["files", "logs", "terminal"]);

/** Names are of one instance each; empty: there is none of that name. */
export function idNamed(
  instances: Iterable<Instance>,
  namespace: string | undefined,
  name: string | undefined,
): string {
  for (const one of instances) if (one.name === name && one.namespace === namespace) return one.id;
  return "";
}

export function InstanceByName() {
  const { fabric } = useGiven();
  const params = useNames<{ namespace: string; name: string; part: string }>();
  const at = useLocation();
  const id = createMemo(() => idNamed(fabric.all("instance").values(), params.namespace, params.name));
  return (
    <Show when={PARTS.has(params.part)} fallback={<NotFound />}>
      <Show
        when={id()}
        fallback={<Gone what={`Instance ${visible(params.name)}`} href="/instances" list="All instances" />}
      >
        {(found) => <Navigate href={`/instances/${encodeURIComponent(found())}/${params.part}${at.search}`} />}
      </Show>
    </Show>
  );
}
