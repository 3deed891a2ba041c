/** While the map is coloured by failing rules: what the scheduler says of those that wait, asked again and again. */
import { type Accessor, createMemo, untrack } from "solid-js";
import { Refused, request } from "../api/client";
import type { InstanceExplanation } from "../api/types";
import { createAsked } from "../pages/asked";
import { pastRevision } from "../past/when";
import type { Fabric } from "../state/fabric";
import type { Question } from "./model/colours";
import { type Failing, failingOf, NOT_ASKED, toAsk } from "./model/failing";

const AGAIN_MS = 3_000;
/** Nodes that are explained one by one, the most that Nexus does. */
const NODES = 1_000;

export interface Asking {
  failing: Accessor<Failing>;
  /** Why it could not be asked; empty if it could. */
  trouble: Accessor<string>;
}

export function createFailing(question: Accessor<Question>, fabric: Fabric): Asking {
  const asked = createAsked(
    () => (question() === "rule" ? "rule" : undefined),
    () => 0,
    AGAIN_MS,
    async (_, signal) => {
      const answers: InstanceExplanation[] = [];
      for (const id of toAsk(fabric.all("instance").values())) {
        try {
          const path = `/v1/instances/${encodeURIComponent(id)}/explain?nodes=${NODES}`;
          answers.push(await request<InstanceExplanation>("GET", path, undefined, signal));
        } catch (error) {
          // It may have gone since.
          if (!(error instanceof Refused && error.code === "not-found")) throw error;
        }
      }
      return answers;
    },
  );
  const failing = createMemo(() => {
    if (question() !== "rule") return NOT_ASKED;
    const answers = asked.value() ?? [];
    if (pastRevision()) fabric.revision();
    return untrack(() => failingOf(answers, fabric.all("node").values(), fabric.all("instance").values()));
  });
  return { failing, trouble: () => (question() === "rule" ? asked.failed() : "") };
}
