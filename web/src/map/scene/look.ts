/** What is looked at, and how: all that a picture is drawn from. */
import type { City } from "../model/city";
import type { Question, Use } from "../model/colours";
import type { Selection } from "../model/groups";
import type { Refusals } from "../model/refusals";

export interface Look {
  city: City;
  question: Question;
  versions: readonly string[];
  use(node: string): Use | undefined;
  selection: Selection;
  /** The node that the keyboard is at; empty: none. */
  cursor: string;
  hover: string;
  refusals: Refusals | undefined;
  /** What is shown is old: nothing moves. */
  stale: boolean;
  nowMs: number;
}
