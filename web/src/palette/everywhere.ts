/** What can be done on every page, and is found by its name in the palette. */
import type { Doing } from "../actions/desk";
import { setPage } from "../actions/desk";
import { ask } from "../namespaces/namespaces";
import { density, setDensity } from "../parts/density";
import { motionOff, setMotionOff } from "../parts/motion";
import { setTheme, theme } from "../parts/theme";
import type { Fabric } from "../state/fabric";

interface Given {
  fabric: Fabric;
  logOut(): Promise<void>;
}

export function everywhere({ fabric, logOut }: Given): readonly Doing[] {
  const themes = (["light", "dark", "system"] as const).filter((one) => one !== theme());
  const past = fabric.past.wanted() > 0;
  return [
    {
      title: past ? "Back to now" : "Time travel",
      key: "T",
      run: () => (past ? fabric.past.back() : fabric.past.show(fabric.newest())),
    },
    ...(past ? [] : [{ title: "New namespace", key: "", run: () => ask({ kind: "make", made: () => undefined }) }]),
    ...themes.map((one) => ({
      title: one === "system" ? "Theme: as the system says" : `Theme: ${one}`,
      key: "",
      run: () => setTheme(one),
    })),
    density() === "compact"
      ? { title: "Rows of lists: roomy", key: "", run: () => setDensity("roomy") }
      : { title: "Rows of lists: compact", key: "", run: () => setDensity("compact") },
    motionOff()
      ? { title: "Motion on the map: on", key: "", run: () => setMotionOff(false) }
      : { title: "Motion on the map: off", key: "", run: () => setMotionOff(true) },
    { title: "Keys", key: "?", run: () => setPage("keys") },
    { title: "Log out", key: "", run: () => void logOut() },
  ];
}
