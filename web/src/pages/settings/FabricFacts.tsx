import { Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { Refused, request } from "../../api/client";
import type { FabricStatus, MetricList, VersionInfo } from "../../api/types";
import { useGiven } from "../../parts/context";
import { firstKept } from "../../past/steps";
import { bytes, count, dateTime, span, visible } from "../../words/format";
import { createAsked } from "../asked";
import { notTaken } from "./samples";

interface Known {
  status: FabricStatus;
  version: VersionInfo;
  metrics: MetricList;
  first: number;
}

const EVERY_MS = 30_000;
/** A name of which there is one series a node: what is asked for is what all of them take. */
const FEW = "/v1/metrics?prefix=omnitide_node_load1";

/** What is no longer kept is refused with the oldest that is. */
function oldest(error: unknown): number {
  if (error instanceof Refused && error.firstRevision) return error.firstRevision;
  throw error;
}

/** Which fabric this is, what runs it, and what it keeps. */
export function FabricFacts() {
  const { caller, fabric, nowMs } = useGiven();
  const asked = createAsked<Known>(
    () => "fabric",
    () => 0,
    EVERY_MS,
    async (_, signal) => {
      const [status, version, metrics, first] = await Promise.all([
        request<FabricStatus>("GET", "/v1/fabric", undefined, signal),
        request<VersionInfo>("GET", "/v1/version", undefined, signal),
        request<MetricList>("GET", FEW, undefined, signal),
        firstKept(signal).catch(oldest),
      ]);
      return { status, version, metrics, first };
    },
  );
  return (
    <section class="card block wide" aria-labelledby="fabric">
      <h2 id="fabric">Fabric</h2>
      <div class="settings-facts">
        <dl class="facts">
          <dt>Fabric</dt>
          <dd class="mono">{caller().fabric_id}</dd>
          <dt>This panel</dt>
          <dd class="mono">{location.origin}</dd>
          <Show when={asked.value()} fallback={<Waiting failed={asked.failed()} />}>
            {(known) => (
              <>
                <dt>Nodes reach it at</dt>
                <dd class="mono">{known().status.endpoints.map(visible).join(", ")}</dd>
                <dt>Software</dt>
                <dd>
                  Omnitide {known().version.version} <span class="faint">on Python {known().version.python}</span>
                </dd>
                <dt>API, feature level</dt>
                <dd>
                  {known().version.api}, {count(known().version.feature_level)}
                </dd>
                <dt>Nexus began</dt>
                <dd>
                  {dateTime(known().status.started_ms)}{" "}
                  <span class="faint">({span(nowMs() - known().status.started_ms)} ago)</span>
                </dd>
              </>
            )}
          </Show>
          <dt>Licences</dt>
          <dd>
            <a href="/licenses.md" target="_blank" rel="noreferrer">
              of what the panel is made of
            </a>
          </dd>
        </dl>
        <Show when={asked.value()}>
          {(known) => (
            <dl class="facts">
              <dt>Log</dt>
              <dd class="mono">{known().status.log_id}</dd>
              <dt>Revisions kept</dt>
              <dd>
                {count(known().first)} to {count(fabric.newest())}
              </dd>
              <dt>Versions of an agent</dt>
              <dd>the newest 20</dd>
              <dt>Samples</dt>
              <dd>15 minutes by the second, 7 days by the minute</dd>
              <dt>Series now</dt>
              <dd>
                {count(known().metrics.series)}{" "}
                <span class="faint">
                  in {bytes(known().metrics.memory_bytes)} of {bytes(known().metrics.memory_bound_bytes)}
                </span>
              </dd>
              <dt>Samples not taken</dt>
              <dd>
                {count(known().metrics.dropped)}{" "}
                <span class="faint">{["since Nexus began", notTaken(known().metrics)].filter(Boolean).join(": ")}</span>
              </dd>
            </dl>
          )}
        </Show>
      </div>
      <div class="on-the-command-line">
        <span class="faint">The same on the command line; the settings are seen where Nexus runs</span>
        <Copied text={"omnitide status\nomnitide version\nomnitide metrics ls\nomnitide config show"} />
      </div>
    </section>
  );
}

function Waiting(props: { failed: string }) {
  return (
    <>
      <dt>Nexus</dt>
      <dd class="soft">{visible(props.failed) || "Asking Nexus…"}</dd>
    </>
  );
}
