/** Requests to Nexus: the session's proof goes with each, and what it refuses is an error with a sentence for people. */
import { IN_THE_PAST, pastRevision } from "../past/when";
import { takeAnswer } from "./early";
import { browserName, keepProof, proof } from "./session";
import type { Caller, FabricStatus, Problem, SessionOpened } from "./types";

const SESSION = "/v1/session";
const PROOF_HEADER = "Omnitide-Proof";
const WITHIN_MS = 15_000;
const TOGETHER_MS = 500;
/** The code of an answer that is no JSON. */
const UNREADABLE = "unreadable";

export class Refused extends Error {
  readonly code: string;
  readonly hint: string;
  /** Where what was asked for is no longer kept: the oldest revision that is. */
  readonly firstRevision: number;
  /** Of what can be asked again: after so many seconds; 0 where Nexus names no time. */
  readonly retryAfterS: number;

  constructor(code: string, message: string, hint = "", firstRevision = 0, retryAfterS = 0) {
    super(message);
    this.name = "Refused";
    this.code = code;
    this.hint = hint;
    this.firstRevision = firstRevision;
    this.retryAfterS = retryAfterS;
  }

  /** Whoever asks has to log in. */
  get loggedOut(): boolean {
    return this.code === "unauthenticated";
  }
}

async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  condition: Record<string, string> = {},
): Promise<T> {
  if (pastRevision() && method !== "GET" && path !== SESSION) throw new Refused("past", IN_THE_PAST);
  const headers: Record<string, string> = { Accept: "application/json", ...condition, [PROOF_HEADER]: proof() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const late = AbortSignal.timeout(WITHIN_MS);
  const early = method === "GET" ? takeAnswer(path, proof()) : null;
  if (early) {
    try {
      return await read<T>(await early);
    } catch (error) {
      signal?.throwIfAborted();
      // One that was lost, as where this script came later than its time allows, is asked for again.
      if (error instanceof Refused && error.code !== UNREADABLE) throw error;
    }
  }
  let begun = false;
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, late]) : late,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    });
    begun = true;
    return await read<T>(response);
  } catch (error) {
    if (signal?.aborted || error instanceof Refused) throw error;
    const detail = late.aborted
      ? `Nexus did not answer within ${WITHIN_MS / 1000} s`
      : begun
        ? "The answer of Nexus broke off"
        : "Nexus cannot be reached";
    throw new Refused("unreachable", detail, "it is tried again");
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await refusal(response);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Refused(UNREADABLE, `Nexus answered with status ${response.status} and nothing that can be read`);
  }
}

export async function refusal(response: Response): Promise<Refused> {
  try {
    const problem = (await response.json()) as Problem;
    const { code, detail, hint = "", first_revision = 0, retry_after_s = 0 } = problem;
    return new Refused(code, detail, hint, first_revision, retry_after_s);
  } catch {
    return new Refused(UNREADABLE, `Nexus answered with status ${response.status} and without a reason`);
  }
}

/** Log in by the code of a link or by an API token. Throws Refused. */
export async function openSession(secret: string): Promise<SessionOpened> {
  const opened = await ask<SessionOpened>("POST", SESSION, { secret, note: browserName() });
  keepProof(opened.proof);
  return opened;
}

/** Who is logged in here. Throws Refused. */
export function getCaller(signal?: AbortSignal): Promise<Caller> {
  return ask("GET", SESSION, undefined, signal);
}

/** Log out; the proof is forgotten even where Nexus cannot be told. */
export async function closeSession(): Promise<void> {
  try {
    await ask("DELETE", SESSION);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  } finally {
    keepProof("");
  }
}

let status: { proof: string; askedMs: number; answer: Promise<FabricStatus> } | undefined;

/** Who asks with others, as the frame and its page do, is told with them. Throws Refused. */
export async function getStatus(signal?: AbortSignal): Promise<FabricStatus> {
  const askedMs = performance.now();
  if (status?.proof !== proof() || askedMs - status.askedMs > TOGETHER_MS) {
    const asked = { proof: proof(), askedMs, answer: ask<FabricStatus>("GET", "/v1/fabric") };
    status = asked;
    asked.answer.catch(() => {
      if (status === asked) status = undefined;
    });
  }
  const found = await status.answer;
  signal?.throwIfAborted();
  return found;
}

/** Any operation of the API. Throws Refused. */
export function request<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  condition?: Record<string, string>,
): Promise<T> {
  return ask(method, path, body, signal, condition);
}

/** Refuse unless the object is at this revision of its own; 0: unless there is none. */
export function ifAt(revision: number): Record<string, string> {
  return revision ? { "If-Match": `"${revision}"` } : { "If-None-Match": "*" };
}
