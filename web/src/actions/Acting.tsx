/** The keyboard, the dialogs and what came of it: once for the whole page, beside whatever page is shown. */
import { useNavigate } from "@solidjs/router";
import { lazy, onCleanup, onMount, Show, Suspense } from "solid-js";
import { DropAnywhere } from "../import/DropAnywhere";
import { useGiven } from "../parts/context";
import { focusMain } from "../parts/main";
import { retried } from "../parts/retried";
import { isHeld } from "../terminal/wanted";
import { forgetAhead, keepAhead } from "./ahead";
import { begin, begun, chosen, doings, endAll, naming, page, setPage } from "./desk";
import { isGoing, meaning, setGoing, singleKeys } from "./keys";
import { follow } from "./openings";
import { meantBy } from "./pressed";
import { Toasts } from "./Toasts";

// Nothing of these is needed for a first look.
const dialogs = () => retried(() => import("./ActionDialog"));
const palette = () => retried(() => import("../palette/Palette"));
const ActionDialog = lazy(() => dialogs().then((made) => ({ default: made.ActionDialog })));
const Palette = lazy(() => palette().then((made) => ({ default: made.Palette })));
const NamespaceDialog = lazy(() =>
  retried(() => import("../namespaces/NamespaceDialog")).then((made) => ({ default: made.NamespaceDialog })),
);
const Keys = lazy(() => retried(() => import("../palette/Keys")).then((made) => ({ default: made.Keys })));

/** Where keys are text. */
const FIELDS =
  "input:not([type=range], [type=radio], [type=checkbox], [type=file]), textarea, select, [contenteditable]";
/** On a page with this, whatever is typed is meant for a program, whether it runs yet, still, or no more. */
const KEEPS_LETTERS = "[data-keeps-letters]";

/** When the first look is over. */
const SOON_MS = 1_500;

export function Acting() {
  const navigate = useNavigate();
  const { fabric } = useGiven();

  // Before any list or map takes them: they are meant for what is on its way.
  const ahead = (event: KeyboardEvent) => {
    const coming = page() !== "" || begun() !== undefined || naming() !== undefined;
    if (!coming && !event.isComposing && document.querySelector("dialog") === null && isHeld(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (!coming || event.isComposing || document.querySelector("dialog") !== null) return;
    if (event.key === "Escape") endAll();
    else if (page() !== "palette" || !keepAhead(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return;
    // The editor is in a tree of its own, which is not to be seen from the target.
    const [at] = event.composedPath();
    const field = at instanceof Element ? at.closest(FIELDS) : null;
    // One of a dialog that has just closed has the focus for a moment longer: nobody types there any more.
    const typing = document.querySelector(KEEPS_LETTERS) !== null || !!(field && !field.closest("dialog:not([open])"));
    const meant = meaning(event, typing, isGoing(event.timeStamp), singleKeys());
    setGoing(meant?.kind === "going" ? event.timeStamp : undefined);
    const shown = document.querySelector("dialog[open]") !== null;
    if (!shown && document.querySelector("dialog") !== null) {
      // It has been closed, and its event of that comes only after this key.
      endAll();
    }
    // While one is on its way, keys are meant for it and not for what is below.
    const inDialog = shown || page() !== "" || begun() !== undefined || naming() !== undefined;
    if (!meant || meant.kind === "going" || (inDialog && meant.kind !== "palette")) return;
    switch (meant.kind) {
      case "palette":
        forgetAhead();
        if (!begun() && !naming()) setPage(page() === "palette" ? "" : "palette");
        break;
      case "keys":
        setPage("keys");
        break;
      case "search": {
        const search = document.querySelector<HTMLInputElement>("main input[type=search]");
        if (!search) return;
        search.focus();
        search.select();
        break;
      }
      case "past":
        if (fabric.past.wanted()) fabric.past.back();
        else if (fabric.newest()) fabric.past.show(fabric.newest());
        break;
      case "go":
        navigate(meant.href);
        focusMain();
        break;
      case "action": {
        const doing = doings().find((one) => one.key === meant.key);
        if (doing) {
          doing.run();
          break;
        }
        const found = meantBy(meant.key, chosen());
        if (!found) return;
        if (found.kind === "opening") {
          follow(found.opening, found.targets, navigate);
          focusMain();
        } else begin(found.action, found.targets);
        break;
      }
    }
    event.preventDefault();
  };
  onMount(() => {
    addEventListener("keydown", ahead, true);
    addEventListener("keydown", pressed);
    // Nobody who presses a key should wait for a file.
    const timer = setTimeout(() => void Promise.all([dialogs(), palette()]).catch(() => undefined), SOON_MS);
    onCleanup(() => clearTimeout(timer));
  });
  onCleanup(() => {
    removeEventListener("keydown", ahead, true);
    removeEventListener("keydown", pressed);
  });

  return (
    <>
      <Suspense>
        <Show when={begun()} keyed>
          {(now) => <ActionDialog begun={now} />}
        </Show>
        <Show when={naming()} keyed>
          {(now) => <NamespaceDialog of={now} />}
        </Show>
        <Show when={page() === "palette"}>
          <Palette />
        </Show>
        <Show when={page() === "keys"}>
          <Keys />
        </Show>
      </Suspense>
      <DropAnywhere />
      <Toasts />
    </>
  );
}
