import { A } from "@solidjs/router";
import { Show } from "solid-js";
import { instanceHref } from "../actions";
import type { Instance } from "../api/types";
import { useGiven } from "../parts/context";
import { ListPage } from "../parts/ListPage";
import { createListing } from "../parts/listing";
import { Star } from "../parts/Star";
import { State } from "../parts/State";
import { createSeldom } from "../parts/seldom";
import type { Column } from "../parts/Table";
import { useColumns } from "../parts/UseCells";
import { createUse, usedNow } from "../parts/use";
import { bytes, cores, count, span, visible } from "../words/format";
import { andEnded, instanceState, notEnded, rankOf } from "../words/states";
import { unaskedEnd } from "./detail/happened";

export function Instances() {
  const { fabric, nowMs } = useGiven();
  const use = createUse("instance");
  const ports = (instance: Instance) =>
    Object.entries(instance.ports)
      .map(([name, port]) => `${name} ${port}`)
      .join(", ");
  const columns: Column<Instance>[] = [
    {
      id: "name",
      title: "Instance",
      width: 150,
      grow: 1.4,
      rank: 0,
      by: (instance) => `${instance.name} ${instance.namespace}`,
      cell: (instance) => (
        <>
          <span class="cell-line">
            <Star
              name={instance.name}
              on={listing.favourite(instance)}
              onToggle={() => listing.toggleFavourite(instance)}
            />
            <A class="cell-name" href={instanceHref(instance.id)} tabindex="-1">
              {visible(instance.name)}
            </A>
          </span>
          <span class="cell-under">
            {visible(instance.namespace)}
            <Show when={instance.kind === "job"}> · job</Show>
          </span>
        </>
      ),
    },
    {
      id: "state",
      title: "State",
      width: 190,
      grow: 3.4,
      rank: 0,
      by: (instance) => rankOf(instanceState(instance).tone),
      cell: (instance) => <State state={instanceState(instance)} />,
    },
    {
      id: "node",
      title: "Node",
      width: 110,
      grow: 0.5,
      rank: 1,
      by: (instance) => instance.node,
      cell: (instance) => (
        <Show when={instance.node} fallback={<span class="faint">none yet</span>}>
          {visible(instance.node)}
        </Show>
      ),
    },
    ...useColumns<Instance>((instance) => usedNow(instance, use)),
    {
      id: "attempt",
      title: "Attempts",
      width: 78,
      rank: 5,
      right: true,
      by: (instance) => instance.attempt,
      cell: (instance) => count(instance.attempt),
    },
    {
      id: "death",
      title: "Last death",
      width: 150,
      grow: 1.1,
      rank: 5,
      by: (instance) => unaskedEnd(instance)?.ended_ms ?? 0,
      cell: (instance) => (
        <Show when={unaskedEnd(instance)}>
          {(exit) => (
            <span class="soft">
              {visible(exit().text)}
              <span class="faint"> · {span(nowMs() - exit().ended_ms)} ago</span>
            </span>
          )}
        </Show>
      ),
    },
    {
      id: "version",
      title: "Version",
      width: 70,
      rank: 6,
      right: true,
      by: (instance) => instance.version,
      cell: (instance) => `v${instance.version}`,
    },
    {
      id: "cpu",
      title: "CPU asked for",
      width: 96,
      rank: 8,
      right: true,
      by: (instance) => instance.cpu_milli,
      cell: (instance) => cores(instance.cpu_milli),
    },
    {
      id: "memory",
      title: "Memory asked for",
      width: 118,
      rank: 8,
      right: true,
      by: (instance) => instance.memory_bytes,
      cell: (instance) => bytes(instance.memory_bytes),
    },
    {
      id: "ports",
      title: "Ports",
      width: 100,
      grow: 0.5,
      rank: 6,
      cell: (instance) => <span class="soft mono">{visible(ports(instance))}</span>,
    },
    {
      id: "since",
      title: "Since",
      width: 92,
      rank: 2,
      right: true,
      by: (instance) => -instance.since_ms,
      cell: (instance) => <span class="soft">{span(nowMs() - instance.since_ms)}</span>,
    },
  ];
  const listing = createListing<Instance>({
    kind: "instance",
    mark: (instance) => `${instance.workload_id}-${instance.slot}`,
    fields: {
      namespace: (instance) => instance.namespace,
      node: (instance) => instance.node ?? "",
      agent: (instance) => (instance.kind === "agent" ? instance.workload : ""),
      job: (instance) => (instance.kind === "job" ? instance.workload : ""),
      status: (instance) => instance.status,
      condition: (instance) => instance.condition,
    },
    all: () => fabric.all("instance"),
    columns,
    state: instanceState,
    text: (instance) =>
      [instance.name, instance.namespace, instance.status, instance.health, instance.node, instance.kind].join(" "),
    first: { column: "name", down: false },
  });
  const there = createSeldom(
    () => void fabric.filled(),
    () => void fabric.all("instance"),
    () => {
      const found = notEnded(fabric.all("instance"));
      return `${count(found)}${andEnded(fabric.all("instance").size - found)}`;
    },
  );
  return (
    <ListPage
      title="Instances"
      noun="instance"
      all={there}
      listing={listing}
      row={(id) => fabric.get("instance", id)}
      target={(object) => ({ kind: "instance", object })}
      onSeen={use.see}
      beside={(instance) => <State state={{ ...instanceState(instance), more: "" }} />}
      under={(instance) => (
        <>
          {visible(instance.node) || "no node yet"} · {span(nowMs() - instance.since_ms)}
          <Show when={instanceState(instance).more}> · {visible(instanceState(instance).more)}</Show>
          <Show when={ports(instance)}> · {visible(ports(instance))}</Show>
        </>
      )}
      none={
        <>
          <strong>Nothing runs</strong>
          <span>Instances appear when an agent is deployed or a job is run:</span>
          <code>omnitide run -- echo hello</code>
        </>
      }
    />
  );
}
