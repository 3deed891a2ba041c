/**
 * What agents, instances or nodes use: only the rows in sight are asked for, all together, every few seconds, so that a list of
 * any length costs what is seen of it.
 */
import { createEffect, createSignal, on, onCleanup } from "solid-js";
import { Refused, request } from "../api/client";
import type { Instance, UseRows } from "../api/types";
import { pastRevision } from "../past/when";
import type { Load } from "../state/model";

export interface Use extends Load {
  /** Of so many instances. */
  instances: number;
}

/** As many as Nexus takes at a time; no screen has more rows. */
export const MOST = 100;
const EVERY_MS = 5_000;
/** After the last row came into sight: who scrolls on wants none of these. */
const SOON_MS = 150;
/** Between two questions, however often rows come and go. */
const LEAST_MS = 1_000;
/** What is older is not shown as if it were of now. */
const OLD_MS = 20_000;

export interface RowsUse {
  /** These are in sight now. */
  see(ids: readonly string[]): void;
  of(id: string): Use | undefined;
}

export function createUse(kind: "agent" | "instance" | "node"): RowsUse {
  const known = new Map<string, { use: Use; askedMs: number }>();
  const [told, setTold] = createSignal(0);
  let seen: readonly string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;
  let beganMs = Number.NEGATIVE_INFINITY;

  const later = (waitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), waitMs);
  };
  const ask = async () => {
    if (pastRevision() || !seen.length) return;
    if (document.visibilityState === "hidden" || running) return later(EVERY_MS);
    const mine = new AbortController();
    running = mine;
    beganMs = performance.now();
    const asked = new URLSearchParams(seen.slice(0, MOST).map((id) => [kind, id]));
    try {
      const found = await request<UseRows>("GET", `/v1/metrics/use?${asked}`, undefined, mine.signal);
      const nowMs = performance.now();
      for (const [id, use] of usesOf(found)) known.set(id, { use, askedMs: nowMs });
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
    } finally {
      if (running === mine) running = undefined;
    }
    for (const [id, one] of known) if (one.askedMs < performance.now() - OLD_MS) known.delete(id);
    setTold((now) => now + 1);
    later(EVERY_MS);
  };
  // Nobody keeps of the past what rows show.
  createEffect(on(pastRevision, () => later(SOON_MS)));
  onCleanup(() => {
    clearTimeout(timer);
    running?.abort();
  });
  return {
    see: (ids) => {
      const fresh = ids.some((id) => !known.has(id));
      seen = ids;
      if (fresh) later(Math.max(SOON_MS, beganMs + LEAST_MS - performance.now()));
    },
    of: (id) => {
      told();
      return pastRevision() ? undefined : known.get(id)?.use;
    },
  };
}

const USING = new Set(["starting", "running", "stopping"]);

/** What ended a moment ago, and what nobody hears of, uses nothing that is known. */
export function usedNow(instance: Instance, use: RowsUse): Use | undefined {
  return USING.has(instance.status) ? use.of(instance.id) : undefined;
}

/** Pure. Steps of which nothing is known are left out: the line has a gap there. */
export function usesOf(found: UseRows): Map<string, Use> {
  const uses = new Map<string, Use>();
  for (const row of found.items) {
    const at: number[] = [];
    const cpu: number[] = [];
    row.cpu_milli.forEach((value, step) => {
      if (value === null) return;
      at.push(found.start_ms + (step + 1) * found.step_ms);
      cpu.push(value);
    });
    uses.set(row.id, {
      cpuMilli: cpu.at(-1) ?? 0,
      memoryBytes: row.memory_bytes.findLast((one) => one !== null) ?? 0,
      atMs: found.start_ms + row.cpu_milli.length * found.step_ms,
      at,
      cpu,
      instances: row.instances,
    });
  }
  return uses;
}
