/** The city is founded from what is known of the fabric, in parts where that is much, and kept up with it. */
import { createEffect, createSignal, onCleanup } from "solid-js";
import type { Fabric } from "../state/fabric";
import { turn } from "../state/turn";
import { advance, advancing, type Changes, type City, emptyCity, type Sight } from "./model/city";
import type { Layout } from "./model/layout";
import { PART } from "./model/seating";
import type { Scene } from "./scene/scene";

interface Given {
  fabric: Fabric;
  scene: () => Scene | undefined;
  /** The label that makes districts. */
  by: () => string;
  /** Whether it is seen on a screen that is higher than wide. */
  narrow: () => boolean;
  /** Another label is another city. */
  anew(): void;
  /** What the camera shows that nobody has moved, before the city is another. */
  untouched(): Before["sees"];
  show(made: Scene, changes: Changes, before: Before): void;
  fail(error: unknown): void;
}

/** What was seen of the city before it changed. */
export interface Before {
  sees: "whole" | "first" | undefined;
  layout: Layout;
}

/** Where the city is to be found: it is another when its districts are. */
export function createGrowing({ fabric, scene, by, narrow, anew, untouched, show, fail }: Given): () => City {
  let city = emptyCity(by(), narrow());
  const follower = fabric.follow();
  onCleanup(() => follower.end());
  let last: Partial<Pick<Sight, "nodes" | "instances">> = {};
  /** Another one has seen nothing of it. */
  let shown: Scene | undefined;
  // What comes while it is founded is taken in afterwards.
  let founding = false;
  const [founded, setFounded] = createSignal(0);
  let left = false;
  onCleanup(() => {
    left = true;
  });
  const found = async (made: Scene, sight: Sight) => {
    founding = true;
    try {
      const whole = emptyCity(sight.by, sight.narrow);
      const parts = advancing(whole, sight);
      let part = parts.next();
      while (!part.done) {
        await turn();
        if (left) return;
        part = parts.next();
      }
      founding = false;
      const { layout } = city;
      Object.assign(city, whole);
      shown = made;
      show(made, part.value, { sees: undefined, layout });
      setFounded((now) => now + 1);
    } catch (error) {
      fail(error);
    }
  };
  createEffect(() => {
    founded();
    const made = scene();
    const sight = {
      nodes: fabric.all("node"),
      instances: fabric.all("instance"),
      agents: fabric.all("agent"),
      jobs: fabric.all("job"),
      by: by(),
      narrow: narrow(),
    };
    if (!made || !fabric.filled() || founding) return;
    if (city.layout.by !== sight.by) {
      city = emptyCity(sight.by, sight.narrow);
      last = {};
      anew();
    }
    const touched = follower.take();
    // Another snapshot, or another time that is looked at: its tables are others.
    const same = touched && last.nodes === sight.nodes && last.instances === sight.instances;
    last = sight;
    if (!city.seen && sight.instances.size > PART) void found(made, sight);
    else {
      const before = { sees: untouched(), layout: city.layout };
      const changes = advance(city, sight, same ? touched : undefined);
      changes.layout ||= made !== shown;
      shown = made;
      show(made, changes, before);
    }
  });
  return () => city;
}
