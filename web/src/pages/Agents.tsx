import { A } from "@solidjs/router";
import { Show } from "solid-js";
import { actionById, agentHref, begin, type Target } from "../actions";
import { useDoings } from "../actions/desk";
import type { Agent } from "../api/types";
import { useGiven } from "../parts/context";
import { labelWords } from "../parts/filter";
import { ListPage } from "../parts/ListPage";
import { createListing } from "../parts/listing";
import { Star } from "../parts/Star";
import { State } from "../parts/State";
import type { Column } from "../parts/Table";
import { useColumns } from "../parts/UseCells";
import { createUse } from "../parts/use";
import { Way } from "../parts/Way";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { CUT_OFF, cutOff } from "../state/cut";
import { bytes, cores, count, span, visible } from "../words/format";
import { ranOf, runningWords, surplusOf, surplusWords } from "../words/running";
import { agentState, rankOf } from "../words/states";

export function Agents() {
  const { fabric, nowMs } = useGiven();
  const use = createUse("agent");
  const columns: Column<Agent>[] = [
    {
      id: "name",
      title: "Agent",
      width: 150,
      grow: 0.8,
      rank: 0,
      by: (agent) => `${agent.name} ${agent.namespace}`,
      cell: (agent) => (
        <>
          <span class="cell-line">
            <Star name={agent.name} on={listing.favourite(agent)} onToggle={() => listing.toggleFavourite(agent)} />
            <A class="cell-name" href={agentHref(agent.namespace, agent.name)} tabindex="-1">
              {visible(agent.name)}
            </A>
          </span>
          <span class="cell-under">{visible(agent.namespace)}</span>
        </>
      ),
    },
    {
      id: "state",
      title: "State",
      width: 150,
      grow: 3,
      rank: 0,
      by: (agent) => rankOf(agentState(agent).tone),
      cell: (agent) => <State state={agentState(agent)} />,
    },
    {
      id: "replicas",
      title: "Running",
      width: 84,
      rank: 0,
      right: true,
      by: (agent) => (agent.replicas ? agent.running / agent.replicas : 2),
      cell: (agent) => (
        <span>
          {count(ranOf(agent))}
          <span class="faint"> / {count(agent.replicas)}</span>
          <Show when={surplusOf(agent)}>
            {(surplus) => (
              <span class="soft" title={surplusWords(surplus())}>
                {" "}
                +{count(surplus())}
              </span>
            )}
          </Show>
        </span>
      ),
    },
    {
      id: "trouble",
      title: "Not running",
      width: 150,
      grow: 1,
      rank: 5,
      by: (agent) => agent.replicas - agent.running,
      cell: (agent) => <span class="soft">{troubles(agent)}</span>,
    },
    ...useColumns<Agent>(
      (agent) => use.of(agent.id),
      (agent) => agent.running,
    ),
    {
      id: "version",
      title: "Version",
      width: 70,
      rank: 3,
      right: true,
      by: (agent) => agent.version,
      cell: (agent) => `v${agent.version}`,
    },
    {
      id: "driver",
      title: "Driver",
      width: 84,
      rank: 6,
      by: (agent) => agent.driver,
      cell: (agent) => <span class="chip">{visible(agent.driver)}</span>,
    },
    {
      id: "cpu",
      title: "CPU each",
      width: 80,
      rank: 7,
      right: true,
      by: (agent) => agent.cpu_milli,
      cell: (agent) => cores(agent.cpu_milli),
    },
    {
      id: "memory",
      title: "Memory each",
      width: 104,
      rank: 7,
      right: true,
      by: (agent) => agent.memory_bytes,
      cell: (agent) => bytes(agent.memory_bytes),
    },
    {
      id: "age",
      title: "Age",
      width: 92,
      rank: 1,
      right: true,
      by: (agent) => -agent.created_ms,
      cell: (agent) => <span class="soft">{span(nowMs() - agent.created_ms)}</span>,
    },
  ];
  const listing = createListing<Agent>({
    kind: "agent",
    mark: (agent) => agent.id,
    fields: {
      namespace: (agent) => agent.namespace,
      driver: (agent) => agent.driver,
      label: (agent) => labelWords(agent.labels),
      status: (agent) => agent.status,
    },
    all: () => fabric.all("agent"),
    columns,
    state: agentState,
    text: (agent) =>
      [
        agent.name,
        agent.namespace,
        agent.status,
        agent.driver,
        ...Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`),
      ].join(" "),
    first: { column: "name", down: false },
  });
  const shown = (): Target[] =>
    listing.ids().flatMap((id): Target[] => {
      const object = fabric.get("agent", id);
      return object ? [{ kind: "agent", object }] : [];
    });
  const restartAll = () => begin(actionById("agent.restart"), shown());
  useDoings(() =>
    listing.ids().length > 1 && !pastRevision()
      ? [{ title: "Restart all that are shown", key: "R", run: restartAll }]
      : [],
  );
  return (
    <ListPage
      title="Agents"
      noun="agent"
      listing={listing}
      row={(id) => fabric.get("agent", id)}
      target={(object) => ({ kind: "agent", object })}
      onSeen={use.see}
      beside={(agent) => <State state={agentState(agent)} />}
      under={(agent) => (
        <>
          {runningWords(agent)} · v{agent.version} · {visible(agent.driver)} · {visible(agent.namespace)}
          <Show when={troubles(agent)}> · {troubles(agent)}</Show>
        </>
      )}
      tools={
        <>
          <Show when={listing.ids().length > 1}>
            <button
              type="button"
              class="button"
              disabled={pastRevision() > 0 || cutOff()}
              title={
                pastRevision()
                  ? IN_THE_PAST
                  : cutOff()
                    ? CUT_OFF
                    : "Restart all agents that are shown, each a few replicas at a time"
              }
              aria-keyshortcuts="Shift+R"
              onClick={restartAll}
            >
              Restart all
            </button>
          </Show>
          <Way href="/import">Import</Way>
          <Way href="/agents/new" primary>
            New agent
          </Way>
        </>
      }
      none={
        <>
          <strong>Nothing is deployed</strong>
          <span>
            <A href="/agents/new">Write an agent</A>, <A href="/import">import a Compose file</A>, or deploy one from
            the command line:
          </span>
          <code>omnitide deploy examples/hello.toml</code>
        </>
      }
    />
  );
}

const NOT_RUNNING = ["failed", "lost", "unknown", "pending", "placed", "starting", "stopping"] as const;

function troubles(agent: Agent): string {
  const told = NOT_RUNNING.filter((status) => agent.counts[status]).map(
    (status) => `${count(agent.counts[status])} ${status}`,
  );
  const least = agent.failing_at_least ? "at least " : "";
  return [...(agent.failing ? [`${least}${count(agent.failing)} failing`] : []), ...told].join(", ");
}
