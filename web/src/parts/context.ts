/** What every page is given. */
import { type Accessor, createContext, useContext } from "solid-js";
import type { Caller } from "../api/types";
import type { Fabric } from "../state/fabric";

export interface Given {
  fabric: Fabric;
  caller: Accessor<Caller>;
  /** Nexus's wall clock, once a second; it stands still while what is shown is stale. */
  nowMs: Accessor<number>;
  logOut(): Promise<void>;
}

export const GivenContext = createContext<Given>();

export function useGiven(): Given {
  const given = useContext(GivenContext);
  if (!given) throw new Error("a page stands outside of the shell");
  return given;
}
