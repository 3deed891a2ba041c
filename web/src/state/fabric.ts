/**
 * The model and its connection as signals. Frames are taken in as they come; pages are told once for each picture. While
 * the past is looked at, what is shown is of then, all of it, and now goes on unseen.
 */
import { type Accessor, batch, createSignal } from "solid-js";
import { getCaller, Refused } from "../api/client";
import { takeSocket } from "../api/early";
import { proof } from "../api/session";
import { loadPast } from "../past/load";
import { NOTHING_YET, Past } from "../past/past";
import { lookForUpdate } from "../pwa/install";
import { seen } from "../pwa/seen";
import { Connection, isStale, type Status } from "./connection";
import { setCutOff } from "./cut";
import { KINDS, type Kind, type Objects } from "./frames";
import { apply, emptyModel, type Load, type Model } from "./model";

const HIDDEN_MS = 500;

/** Ids that a follower has not taken; more than this is as good as all. */
const FOLLOWED_MOST = 20_000;

/** Which objects became others since it was last asked: for those who would not look through all of them. */
export interface Follower {
  /** By kind; undefined: any of them may have. */
  take(): { [K in Kind]: ReadonlySet<string> } | undefined;
  end(): void;
}

interface Followed {
  all: boolean;
  ids: { [K in Kind]: Set<string> };
}

type Signals = { [K in Kind]: [Accessor<number>, (next: number) => void] };

function viewAddress(): string {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${location.host}/v1/view`;
}

export class Fabric {
  readonly past = new Past(loadPast);
  readonly status: Accessor<Status>;
  /** What is shown may be old: Nexus is not heard. */
  readonly stale: Accessor<boolean>;
  /** The revision shown. */
  readonly revision: Accessor<number>;
  /** The newest that is known, whatever is shown. */
  readonly newest: Accessor<number>;
  /** Nexus's clock when what is shown was so, ms. */
  readonly shownMs: Accessor<number>;
  readonly filled: Accessor<boolean>;
  /** Why one has to log in; empty as long as one has not. */
  readonly loggedOut: Accessor<string>;
  readonly loadTick: Accessor<number>;

  #model = emptyModel();
  #ahead = 0;
  readonly #versions: Signals;
  readonly #setters;
  readonly #connection: Connection;
  #dirty = new Set<Kind>();
  readonly #followers = new Set<Followed>();
  #loadDirty = false;
  #drawing = false;
  #asking = false;

  constructor() {
    const [status, setStatus] = createSignal<Status>({ kind: "connecting" });
    const [revision, setRevision] = createSignal(0);
    const [shownMs, setShownMs] = createSignal(0);
    const [filled, setFilled] = createSignal(false);
    const [loggedOut, setLoggedOut] = createSignal("");
    const [loadTick, setLoadTick] = createSignal(0);
    this.status = status;
    this.stale = () => isStale(status());
    this.newest = revision;
    this.revision = () => this.#then()?.revision ?? revision();
    this.shownMs = () => this.#then()?.timeMs ?? shownMs();
    this.filled = () => this.#then()?.filled ?? filled();
    this.loggedOut = loggedOut;
    this.loadTick = loadTick;
    this.#setters = { setStatus, setRevision, setShownMs, setFilled, setLoggedOut, setLoadTick };
    this.#versions = Object.fromEntries(KINDS.map((kind) => [kind, createSignal(0)])) as unknown as Signals;
    this.#connection = new Connection(
      {
        open: () => takeSocket(proof()) ?? new WebSocket(viewAddress(), ["omnitide.v1", `proof.${proof()}`]),
        nowMs: () => performance.now(),
        chance: () => Math.random(),
      },
      {
        begin: () => {
          this.#model.coming = null;
        },
        frame: (frame) => {
          const changes = apply(this.#model, frame);
          seen();
          this.#ahead = frame.time_ms - Date.now();
          for (const kind of changes.kinds) this.#dirty.add(kind);
          for (const follower of this.#followers) note(follower, changes.ids);
          this.#loadDirty ||= changes.load;
          this.#drawSoon();
        },
        status: (next) => {
          const now = this.status();
          if (now.kind === "broken" && next.kind === "live") lookForUpdate();
          if (next.kind !== "live" || now.kind !== "live") setStatus(next);
          setCutOff(next.kind === "broken");
        },
        refused: () => void this.#whyRefused(),
      },
    );
  }

  start(): void {
    this.#connection.start();
    addEventListener("online", this.#again);
    document.addEventListener("visibilitychange", this.#again);
  }

  end(): void {
    this.past.back();
    this.#connection.end();
    removeEventListener("online", this.#again);
    document.removeEventListener("visibilitychange", this.#again);
  }

  /** Try to connect at once. */
  tryNow(): void {
    this.#connection.now();
  }

  /** Nexus's wall clock when what is shown was so, or as far as this page knows it. */
  nowMs(): number {
    return this.#then()?.timeMs ?? this.liveMs();
  }

  /** Nexus's wall clock, whatever is shown. */
  liveMs(): number {
    return Date.now() + this.#ahead;
  }

  /** All of a kind, by id. Whoever asks is told when any of them is another. */
  all<K extends Kind>(kind: K): ReadonlyMap<string, Objects[K]> {
    const then = this.#then();
    if (then) return then.tables[kind] as Map<string, Objects[K]>;
    this.#versions[kind][0]();
    return this.#model.tables[kind] as Map<string, Objects[K]>;
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.all(kind).get(id);
  }

  load(node: string): Load | undefined {
    // Nobody keeps how busy nodes were; the charts have what is kept of it.
    if (this.#then()) return undefined;
    this.loadTick();
    return this.#model.load.get(node);
  }

  /** Of the present, also while the past is looked at: whoever follows both has to look whether the tables are others. */
  follow(): Follower {
    const mine: Followed = { all: true, ids: noIds() };
    this.#followers.add(mine);
    return {
      take: () => {
        const { all, ids } = mine;
        mine.all = false;
        mine.ids = noIds();
        return all ? undefined : ids;
      },
      end: () => this.#followers.delete(mine),
    };
  }

  #then(): Model | undefined {
    return this.past.wanted() ? (this.past.model() ?? NOTHING_YET) : undefined;
  }

  readonly #again = (): void => {
    if (document.visibilityState === "visible") this.#connection.now();
  };

  async #whyRefused(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      await getCaller();
    } catch (error) {
      if (error instanceof Refused && error.loggedOut) {
        this.end();
        this.#setters.setLoggedOut(error.message);
      }
    } finally {
      this.#asking = false;
    }
  }

  #drawSoon(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    if (document.visibilityState === "visible") requestAnimationFrame(() => this.#draw());
    else setTimeout(() => this.#draw(), HIDDEN_MS);
  }

  #draw(): void {
    this.#drawing = false;
    batch(() => {
      for (const kind of this.#dirty) {
        const [version, setVersion] = this.#versions[kind];
        setVersion(version() + 1);
      }
      this.#dirty.clear();
      if (this.#loadDirty) this.#setters.setLoadTick(this.loadTick() + 1);
      this.#loadDirty = false;
      this.#setters.setRevision(this.#model.revision);
      this.#setters.setShownMs(this.#model.timeMs);
      this.#setters.setFilled(this.#model.filled);
    });
  }
}

function noIds(): Followed["ids"] {
  return { namespace: new Set(), node: new Set(), agent: new Set(), job: new Set(), instance: new Set() };
}

function note(follower: Followed, ids: { [K in Kind]?: string[] } | undefined): void {
  if (follower.all) return;
  for (const kind of KINDS) for (const id of ids?.[kind] ?? []) follower.ids[kind].add(id);
  if (ids && follower.ids.instance.size <= FOLLOWED_MOST) return;
  follower.all = true;
  follower.ids = noIds();
}
