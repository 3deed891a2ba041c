/**
 * The fabric at a revision that has passed, as Nexus folds it from its log. One is asked for at a time, and the newest
 * wish is the next, so that a slider costs Nexus no more than it can answer. As long as nothing of the past has come,
 * nothing is shown: what is now would be taken for what was.
 */
import { type Accessor, createSignal } from "solid-js";
import { emptyModel, type Model } from "../state/model";
import { pastRevision, setPastRevision } from "./when";

const AGAIN_MS = 2_000;

/** Why a revision cannot be shown. */
export class NotThere extends Error {
  /** `first`: the oldest that can; 0 if that is not why. `again`: it may be another time. */
  constructor(
    message: string,
    readonly first: number,
    readonly again: boolean,
  ) {
    super(message);
    this.name = "NotThere";
  }
}

/** The whole fabric at a revision. Throws NotThere. */
export type LoadPast = (revision: number, signal: AbortSignal) => Promise<Model>;

export class Past {
  /** Looked at; 0: now. */
  readonly wanted: Accessor<number> = pastRevision;
  /** What is shown of the past; its revision may be another than the one that is wanted. */
  readonly model: Accessor<Model | undefined>;
  /** Why what is wanted is not shown; empty if it is or is on its way. */
  readonly trouble: Accessor<string>;
  /** Why there is nothing to look at at all: the address asks for what is no revision, or for one that is not kept. */
  readonly absent: Accessor<string>;
  /** The oldest that is kept, as far as is known here. */
  readonly first: Accessor<number>;

  readonly #load: LoadPast;
  readonly #set;
  #loading: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(load: LoadPast) {
    this.#load = load;
    const [model, setModel] = createSignal<Model>();
    const [trouble, setTrouble] = createSignal("");
    const [absent, setAbsent] = createSignal("");
    const [first, setFirst] = createSignal(1);
    this.model = model;
    this.trouble = trouble;
    this.absent = absent;
    this.first = first;
    this.#set = { setModel, setTrouble, setAbsent, setFirst };
  }

  show(revision: number): void {
    const wanted = Math.max(1, Math.floor(revision));
    if (wanted === this.wanted()) return;
    setPastRevision(wanted);
    this.#set.setTrouble("");
    this.#set.setAbsent("");
    void this.#next();
  }

  back(): void {
    clearTimeout(this.#timer);
    this.#loading?.abort();
    this.#loading = undefined;
    setPastRevision(0);
    this.#set.setTrouble("");
    this.#set.setAbsent("");
    this.#set.setModel();
  }

  /** What was asked for is no revision at all. */
  refuse(asked: string): void {
    this.back();
    this.#set.setAbsent(`“${asked}” is no revision: a revision is a whole number from 1 on`);
  }

  keptFrom(first: number): void {
    this.#set.setFirst((now) => Math.max(now, first));
  }

  async #next(): Promise<void> {
    clearTimeout(this.#timer);
    const revision = this.wanted();
    if (this.#loading || !revision || this.model()?.revision === revision) return;
    const mine = new AbortController();
    this.#loading = mine;
    try {
      const found = await this.#load(revision, mine.signal);
      if (mine.signal.aborted) return;
      this.#set.setModel(found);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof NotThere)) throw error;
      if (error.first) this.keptFrom(error.first);
      if (this.wanted() === revision) {
        this.#set.setTrouble(error.message);
        if (error.again) {
          this.#timer = setTimeout(() => void this.#next(), AGAIN_MS);
        } else {
          // What was looked at before is not what is asked for now, and would be taken for it.
          this.#set.setModel();
          this.#set.setAbsent(error.message);
        }
      }
    } finally {
      if (this.#loading === mine) this.#loading = undefined;
    }
    if (this.wanted() !== revision) void this.#next();
  }
}

/** Before anything of the past is there. */
export const NOTHING_YET: Model = emptyModel();
