/** Files dropped on any page of the panel go to the import, without leaving the page by accident. */
import { useLocation, useNavigate } from "@solidjs/router";
import { createSignal, onCleanup, onMount, Show } from "solid-js";
import { tell } from "../actions/toasts";
import { draftKey, putDraft } from "../editor";
import "./drop.css";
import { manifestOf, ofDrop, setDropped, TooMuch, textsOf } from "./dropped";

/** Nothing came after it: the pointer has left the window. */
const GONE_MS = 250;

export function DropAnywhere() {
  const navigate = useNavigate();
  const location = useLocation();
  const [over, setOver] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Pages that take files themselves see to it before. */
  const meant = (event: DragEvent) =>
    !event.defaultPrevented &&
    !!event.dataTransfer?.types.includes("Files") &&
    !document.querySelector("dialog[open]") &&
    !event.composedPath().some((one) => one instanceof Element && one.classList.contains("code-editor"));
  const dragged = (event: DragEvent) => {
    if (!meant(event)) return;
    event.preventDefault();
    setOver(true);
    clearTimeout(timer);
    timer = setTimeout(() => setOver(false), GONE_MS);
  };
  const drop = (event: DragEvent) => {
    if (!meant(event) || !event.dataTransfer) return;
    event.preventDefault();
    setOver(false);
    ofDrop(event.dataTransfer)
      .then(textsOf)
      .then(
        (files) => {
          const manifest = manifestOf(files);
          if (manifest && location.pathname !== "/agents/new") {
            const form = manifest.path.endsWith(".toml") ? "toml" : "yaml";
            putDraft(draftKey("", ""), { text: manifest.text, form, atMs: Date.now() });
            navigate("/agents/new");
            return;
          }
          setDropped(files);
          if (location.pathname !== "/import") navigate("/import");
        },
        (error: unknown) => {
          tell(false, error instanceof TooMuch ? error.message : "The files could not be read by this browser");
        },
      );
  };
  onMount(() => {
    addEventListener("dragover", dragged);
    addEventListener("drop", drop);
  });
  onCleanup(() => {
    clearTimeout(timer);
    removeEventListener("dragover", dragged);
    removeEventListener("drop", drop);
  });
  return (
    <Show when={over()}>
      <div class="drop-over">
        <strong>Drop it: a Compose file is imported, a manifest is opened</strong>
      </div>
    </Show>
  );
}
