/** What is looked at, and how: all that a picture is drawn from. */
import type { Cover } from "../model/camera";
import type { City } from "../model/city";
import type { Question, Use } from "../model/colours";
import type { Failing } from "../model/failing";
import type { Selection } from "../model/groups";
import type { Refusals } from "../model/refusals";

export interface Look {
  city: City;
  /** Whether anything has been told of the fabric yet. */
  known: boolean;
  question: Question;
  versions: readonly string[];
  use(node: string): Use | undefined;
  selection: Selection;
  /** The node that the keyboard is at; empty: none. */
  cursor: string;
  hover: string;
  refusals: Refusals | undefined;
  /** By which rule each is held up, where that is asked. */
  failing: Failing;
  /** What lies over the map: nothing is named below it. */
  cover: Cover;
  /** What is shown is old: nothing moves. */
  stale: boolean;
  /** It is of a time that has passed. */
  past: boolean;
  nowMs: number;
}
