import { A } from "@solidjs/router";
import Plus from "lucide-solid/icons/plus";
import { For, Show } from "solid-js";
import { nodeHref } from "../actions";
import type { Node } from "../api/types";
import { useGiven } from "../parts/context";
import { labelWords } from "../parts/filter";
import { ListPage } from "../parts/ListPage";
import { createListing } from "../parts/listing";
import { Meter } from "../parts/Meter";
import { lately } from "../parts/nodeUse";
import { Spark } from "../parts/Spark";
import { Star } from "../parts/Star";
import { State } from "../parts/State";
import type { Column } from "../parts/Table";
import { createUse } from "../parts/use";
import { Way } from "../parts/Way";
import { bytes, cores, count, span, visible } from "../words/format";
import { isSilent, nodeSinceMs, nodeState, rankOf } from "../words/states";

export function Nodes() {
  const { fabric, nowMs } = useGiven();
  // Of a node that is not heard from, nothing is known now.
  const used = (node: Node) => (node.status === "live" && !isSilent(node) ? fabric.load(node.id) : undefined);
  const use = createUse("node");
  const line = (node: Node) => (node.status === "live" ? lately(use.of(node.id), used(node)) : undefined);
  const loadWords = (node: Node) => {
    const load = used(node);
    const [cpu, memory] = [cores(node.cpu_milli), bytes(node.memory_bytes)];
    return load
      ? `cpu ${cores(load.cpuMilli)}/${cpu} · ${bytes(load.memoryBytes)}/${memory}`
      : `cpu ${cpu} · ${memory}`;
  };
  const labels = (node: Node) => Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  const drivers = (node: Node) => node.drivers.filter((driver) => !driver.absent);

  const columns: Column<Node>[] = [
    {
      id: "name",
      title: "Node",
      width: 140,
      grow: 1.4,
      rank: 0,
      by: (node) => node.name,
      cell: (node) => (
        <>
          <span class="cell-line">
            <Star name={node.name} on={listing.favourite(node)} onToggle={() => listing.toggleFavourite(node)} />
            <A class="cell-name" href={nodeHref(node.name)} tabindex="-1">
              {visible(node.name)}
            </A>
          </span>
          <span class="cell-under mono">{node.session_address || node.address || node.id}</span>
        </>
      ),
    },
    {
      id: "state",
      title: "State",
      width: 116,
      grow: 1,
      rank: 0,
      by: (node) => rankOf(nodeState(node).tone),
      cell: (node) => <State state={nodeState(node)} />,
    },
    {
      id: "cpu",
      title: "CPU",
      width: 150,
      grow: 1,
      rank: 1,
      live: true,
      by: (node) => (node.cpu_milli ? (used(node)?.cpuMilli ?? -1) / node.cpu_milli : -1),
      cell: (node) => (
        <Meter
          label="CPU"
          whole={node.cpu_milli}
          used={used(node)?.cpuMilli}
          reserved={node.reserved_cpu_milli}
          text={`${used(node) ? cores(used(node)?.cpuMilli ?? 0) : "–"} / ${cores(node.cpu_milli)}`}
        />
      ),
    },
    {
      id: "line",
      title: "Last 2 min",
      width: 96,
      rank: 4,
      cell: (node) => <Spark load={line(node)} whole={node.cpu_milli} />,
    },
    {
      id: "memory",
      title: "Memory",
      width: 200,
      grow: 1,
      rank: 2,
      live: true,
      by: (node) => (node.memory_bytes ? (used(node)?.memoryBytes ?? -1) / node.memory_bytes : -1),
      cell: (node) => (
        <Meter
          label="Memory"
          whole={node.memory_bytes}
          used={used(node)?.memoryBytes}
          reserved={node.reserved_memory_bytes}
          room={112}
          text={`${used(node) ? bytes(used(node)?.memoryBytes ?? 0) : "–"} / ${bytes(node.memory_bytes)}`}
        />
      ),
    },
    {
      id: "instances",
      title: "Instances",
      width: 78,
      rank: 1,
      right: true,
      by: (node) => node.instances,
      cell: (node) => count(node.instances),
    },
    {
      id: "drivers",
      title: "Drivers",
      width: 150,
      grow: 0.7,
      rank: 6,
      cell: (node) => (
        <span class="cell-list" title={drivers(node).map(driverWords).join("\n")}>
          <For each={drivers(node)}>
            {(driver, index) => (
              <>
                {index() ? ", " : ""}
                <span class={driver.healthy ? "" : "tone-bad state-text"}>{visible(driver.name)}</span>
              </>
            )}
          </For>
        </span>
      ),
    },
    {
      id: "labels",
      title: "Labels",
      width: 130,
      grow: 0.9,
      rank: 7,
      by: (node) => labels(node).join(" "),
      cell: (node) => (
        <span class="cell-list" title={labels(node).map(visible).join("\n")}>
          {visible(labels(node).join(", "))}
        </span>
      ),
    },
    {
      id: "since",
      title: "Since",
      width: 84,
      rank: 3,
      right: true,
      by: (node) => -nodeSinceMs(node),
      cell: (node) => <span class="soft">{span(nowMs() - nodeSinceMs(node))}</span>,
    },
  ];

  const listing = createListing<Node>({
    kind: "node",
    mark: (node) => node.id,
    fields: {
      driver: (node) =>
        node.drivers
          .filter((one) => !one.absent)
          .map((one) => one.name)
          .join(" "),
      label: (node) => labelWords(node.labels),
      status: (node) => node.status,
    },
    all: () => fabric.all("node"),
    columns,
    state: nodeState,
    text: (node) =>
      [node.name, node.id, node.status, node.scheduling, node.address, node.session_address, ...labels(node)].join(" "),
    first: { column: "name", down: false },
  });

  return (
    <ListPage
      title="Nodes"
      noun="node"
      tools={
        <Way href="/join">
          <Plus size={14} aria-hidden="true" /> Join a machine
        </Way>
      }
      listing={listing}
      row={(id) => fabric.get("node", id)}
      onSeen={use.see}
      target={(object) => ({ kind: "node", object })}
      beside={(node) => <State state={nodeState(node)} />}
      under={(node) => (
        <>
          {count(node.instances)} inst. · {loadWords(node)}
          <Show when={labels(node).length}> · {visible(labels(node).join(" "))}</Show>
        </>
      )}
      none={
        <>
          <strong>No machine has joined</strong>
          <span>Make a token here, and run what it shows on the other machine:</span>
          <code>omnitide token create</code>
        </>
      }
    />
  );
}

function driverWords(driver: Node["drivers"][number]): string {
  return [driver.name, driver.version, driver.detail].filter(Boolean).map(visible).join(" · ");
}
