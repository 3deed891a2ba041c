import { A, useParams } from "@solidjs/router";
import { createMemo } from "solid-js";
import { agentHref, instanceHref } from "../../actions";
import { useGiven } from "../../parts/context";
import { useTitle } from "../../parts/title";
import { visible } from "../../words/format";
import { LogView } from "./LogView";

/** The output of all that an agent has. */
export function AgentLogs() {
  const { fabric } = useGiven();
  const params = useParams<{ namespace: string; name: string }>();
  useTitle(() => `Output of ${visible(params.name)}`);
  const sources = createMemo(() =>
    [...fabric.all("instance").values()]
      .filter(
        (one) => one.kind === "agent" && one.namespace === params.namespace && one.workload === params.name && one.node,
      )
      .sort((a, b) => a.slot - b.slot || a.generation - b.generation)
      .map((one) => ({ id: one.id, name: one.name })),
  );
  return (
    <>
      <header class="page-head">
        <h1>
          Output of <A href={agentHref(params.namespace, params.name)}>{visible(params.name)}</A>
        </h1>
      </header>
      <section class="card table-card" aria-label="Output">
        <LogView sources={sources()} file={params.name} tail={2_000} />
      </section>
    </>
  );
}

export function InstanceLogs() {
  const { fabric } = useGiven();
  const params = useParams<{ id: string }>();
  const name = () => fabric.get("instance", params.id)?.name ?? params.id;
  useTitle(() => `Output of ${visible(name())}`);
  return (
    <>
      <header class="page-head">
        <h1>
          Output of <A href={instanceHref(params.id)}>{visible(name())}</A>
        </h1>
      </header>
      <section class="card table-card" aria-label="Output">
        <LogView sources={[{ id: params.id, name: name() }]} file={name()} tail={2_000} />
      </section>
    </>
  );
}
