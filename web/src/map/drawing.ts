/** The picture of the city: opened, and opened anew whenever the browser has taken away what it was drawn in. */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import { retried } from "../parts/retried";
import { turn } from "../state/turn";
import { type Context, ContextLost } from "./scene/context";
import type { Look } from "./scene/look";
import { type Palette, readPalette } from "./scene/palette";
import type { Scene } from "./scene/scene";

// Asked for at once, not only when the page is there: it is the largest part.
const drawing = retried(() => import("./scene/scene"));
drawing.catch(() => undefined);

/** In which a context that was taken away is given back, as a rule; then the page says what is the matter. */
const GIVEN_BACK_MS = 2_000;
/** What is taken away so often within so long would be so again: then it is opened when somebody asks for it. */
const MOST_LOSSES = 4;
const WITHIN_MS = 60_000;

export interface Failure {
  /** Why, in words; empty if the browser took away what it is drawn in. */
  why: string;
}

interface Given {
  look(): Look;
  /** A picture is there, as `scene` then says. */
  opened(made: Scene): void;
}

export interface Drawing {
  /** It stays, and takes in what changes, while another is opened in its place. */
  scene: Accessor<Scene | undefined>;
  palette: Accessor<Palette | undefined>;
  /** What is there to be seen is not what is: none, or one that can be drawn no more. */
  blank: Accessor<boolean>;
  failed: Accessor<Failure | undefined>;
  fail(error: unknown): void;
  begin(host: HTMLElement, labels: HTMLCanvasElement): void;
  /** After it failed. */
  again(): void;
  /** The look of the page is another. */
  redress(): void;
}

export function createDrawing({ look, opened }: Given): Drawing {
  const [scene, setScene] = createSignal<Scene>();
  const [palette, setPalette] = createSignal<Palette>();
  const [blank, setBlank] = createSignal(true);
  const [failed, setFailed] = createSignal<Failure>();
  let places: { host: HTMLElement; labels: HTMLCanvasElement } | undefined;
  /** Each opening makes those before it void. */
  let run = 0;
  let losses: number[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => {
    run += 1;
    clearTimeout(timer);
    scene()?.destroy();
  });

  const give = (failure: Failure) => {
    setFailed(failure);
    setBlank(true);
  };
  const fail = (error: unknown) =>
    give({ why: error instanceof Error ? error.message : "the picture could not be made" });

  const redress = () => {
    if (!places) return;
    const next = readPalette(places.host);
    setPalette(next);
    scene()?.dress(next);
  };

  const wait = (context: Context, mine: number) => {
    if (mine !== run) return;
    const nowMs = performance.now();
    losses = [...losses.filter((atMs) => nowMs - atMs < WITHIN_MS), nowMs];
    const often = losses.length > MOST_LOSSES;
    timer = setTimeout(() => give({ why: "" }), often ? 0 : GIVEN_BACK_MS);
    if (often) return;
    void context.givenBack.then(() => {
      if (mine === run) void open();
    });
  };

  const open = async () => {
    if (!places) return;
    const { host, labels } = places;
    run += 1;
    const mine = run;
    clearTimeout(timer);
    setFailed(undefined);
    try {
      // The page is there before the browser works out its style for that.
      await turn();
      if (mine !== run) return;
      const colours = readPalette(host);
      setPalette(colours);
      const { Scene } = await drawing;
      await turn();
      await document.fonts.load('600 12px "Inter Variable"').catch(() => []);
      if (mine !== run) return;
      const made = await Scene.open(host, labels, look(), colours);
      if (mine !== run) return made.destroy();
      // The look of the page may be another since its colours were read.
      made.dress(palette() ?? colours);
      const before = scene();
      // The person is where they were.
      if (before) made.look(before.camera, false);
      before?.destroy();
      setScene(made);
      setBlank(false);
      opened(made);
      void made.context.taken.then(() => wait(made.context, mine));
    } catch (error) {
      if (mine !== run) return;
      if (error instanceof ContextLost) wait(error.context, mine);
      else fail(error);
    }
  };

  return {
    scene,
    palette,
    blank,
    failed,
    fail,
    redress,
    begin: (host, labels) => {
      places = { host, labels };
      void open();
    },
    again: () => {
      losses = [];
      // The button is gone by then.
      places?.host.focus({ preventScroll: true });
      void open();
    },
  };
}
