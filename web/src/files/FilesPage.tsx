/** Files of an instance, as far as `cp` reaches: with the rights of its user, what it sees and nothing beyond. */
import { A, useSearchParams } from "@solidjs/router";
import Download from "lucide-solid/icons/download";
import File_ from "lucide-solid/icons/file";
import Folder from "lucide-solid/icons/folder";
import Upload from "lucide-solid/icons/upload";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { instanceHref, nameOf, useChosen } from "../actions";
import { Copied } from "../actions/Copied";
import { shellWord } from "../actions/target";
import { Refused } from "../api/client";
import { useGiven } from "../parts/context";
import { saveBlob } from "../parts/exported";
import { useNames } from "../parts/names";
import { useTitle } from "../parts/title";
import { ONLY_NOW, pastRevision } from "../past/when";
import { bytes, dateTime, percent, plural, visible } from "../words/format";
import type { Entry } from "./tar";
import { fetchFile, type Looked, look, sendFiles } from "./transfer";
import "./files.css";

/** What is under way, or what came of it. */
type Job =
  | { kind: "none" }
  | { kind: "going"; verb: string; what: string; bytes: number; whole: number }
  | { kind: "done"; text: string }
  | { kind: "failed"; text: string; hint: string };

export function FilesPage() {
  const { fabric } = useGiven();
  const params = useNames<{ id: string }>();
  const [search, setSearch] = useSearchParams<{ path?: string }>();
  const instance = () => fabric.get("instance", params.id);
  const name = () => visible(instance()?.name ?? params.id);
  useTitle(() => `Files of ${name()}`);
  useChosen(() => {
    const object = instance();
    return object ? [{ kind: "instance", object }] : [];
  });
  const path = () => search.path || ".";
  const [typed, setTyped] = createSignal(search.path ?? "");
  const [looked, setLooked] = createSignal<Looked>();
  const [looking, setLooking] = createSignal(false);
  const [refused, setRefused] = createSignal<{ text: string; hint: string }>();
  const [chosen, setChosen] = createSignal<readonly File[]>([]);
  const [over, setOver] = createSignal(false);
  const [job, setJob] = createSignal<Job>({ kind: "none" });
  let picker: HTMLInputElement | undefined;
  let work: AbortController | undefined;
  onCleanup(() => work?.abort());

  let glance: AbortController | undefined;
  onCleanup(() => glance?.abort());
  const lookNow = async () => {
    glance?.abort();
    const mine = new AbortController();
    glance = mine;
    setLooking(true);
    setRefused();
    try {
      const found = await look(params.id, path(), mine.signal);
      if (!mine.signal.aborted) setLooked(found);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setLooked();
      setRefused({ text: error.message, hint: error.hint });
    } finally {
      if (glance === mine) setLooking(false);
    }
  };
  createEffect(
    on([() => params.id, path, () => pastRevision() > 0], ([, , past]) => {
      setTyped(path() === "." ? "" : path());
      setLooked();
      if (!past) return void lookNow();
      glance?.abort();
      setRefused({ text: ONLY_NOW, hint: "" });
    }),
  );

  const go = (to: string) => setSearch({ path: to === "." ? null : to });
  const below = (entry: Entry) => (path() === "." ? entry.name : `${path().replace(/\/+$/, "")}/${entry.name}`);
  const above = () => {
    const now = path().replace(/\/+$/, "");
    if (now === "" || now === ".") return undefined;
    const at = now.lastIndexOf("/");
    return at < 0 ? "." : now.slice(0, at) || "/";
  };
  const names = createMemo(() => new Set((looked()?.entries ?? []).map((one) => one.name)));
  const replaced = () => chosen().filter((file) => names().has(file.name));
  /** What is shown is a file by itself: nothing can be put below it. */
  const single = () => {
    const entries = looked()?.entries ?? [];
    return entries.length === 1 && entries[0]?.kind === "file" && path().split("/").at(-1) === entries[0].name;
  };
  /** Nothing is copied now. */
  const off = () => !!going() || pastRevision() > 0;
  const going = () => {
    const now = job();
    return now.kind === "going" ? now : undefined;
  };

  const run = async (verb: string, what: string, doing: (mine: AbortController) => Promise<string>) => {
    if (going()) return;
    const mine = new AbortController();
    work = mine;
    setJob({ kind: "going", verb, what, bytes: 0, whole: 0 });
    try {
      setJob({ kind: "done", text: await doing(mine) });
    } catch (error) {
      if (mine.signal.aborted) {
        setJob({ kind: "failed", text: `${verb} ${what} was given up.`, hint: "" });
        return;
      }
      if (!(error instanceof Refused)) throw error;
      setJob({ kind: "failed", text: `${verb} ${what} failed: ${error.message}`, hint: error.hint });
    }
  };
  const progress = (done: number, whole: number) =>
    setJob((now) => (now.kind === "going" ? { ...now, bytes: done, whole } : now));
  const fetchOne = (from: string, what: string) =>
    run("Downloading", what, async (mine) => {
      const found = await fetchFile(params.id, from, progress, mine.signal);
      saveBlob(found.name, found.blob);
      return `${found.name}, ${bytes(found.blob.size)}, was downloaded.`;
    });
  const send = () => {
    const files = chosen();
    if (!files.length) return;
    const what = files.length === 1 ? (files[0]?.name ?? "") : plural(files.length, "file");
    void run("Uploading", what, async (mine) => {
      await sendFiles(params.id, path(), files, progress, mine.signal);
      setChosen([]);
      void lookNow();
      return `${what} is in ${path() === "." ? "the instance's directory" : path()} now.`;
    }).finally(() => {
      if (job().kind === "failed") void lookNow();
    });
  };
  const choose = (files: FileList | null) => {
    setChosen([...(files ?? [])]);
    if (job().kind !== "going") setJob({ kind: "none" });
  };
  const line = () => {
    const object = instance();
    const of = object ? nameOf({ kind: "instance", object }) : params.id;
    const files = chosen();
    return files.length
      ? files.map((file) => `omnitide cp ${shellWord(`./${file.name}`)} ${shellWord(`${of}:${path()}`)}`).join("\n")
      : `omnitide cp ${shellWord(`${of}:${path()}`)} .`;
  };

  return (
    <>
      <header class="page-head">
        <h1>
          Files of <A href={instanceHref(params.id)}>{name()}</A>
        </h1>
        <form
          class="page-tools"
          onSubmit={(event) => {
            event.preventDefault();
            const next = typed().trim() || ".";
            if (next === path()) void lookNow();
            else go(next);
          }}
        >
          <input
            class="field files-path"
            type="text"
            aria-label="Path"
            placeholder="The instance's own directory; or a path, such as /etc"
            value={typed()}
            onInput={(event) => setTyped(event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            maxlength={4096}
          />
          <button type="submit" class="button" disabled={pastRevision() > 0}>
            Look
          </button>
        </form>
      </header>
      <section
        class="card table-card files"
        classList={{ over: over() }}
        aria-label="Files"
        onDragOver={(event) => {
          event.preventDefault();
          event.stopPropagation();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          event.stopPropagation();
          setOver(false);
          choose(event.dataTransfer?.files ?? null);
        }}
      >
        <div class="files-list" role="region" aria-label="In this folder" tabindex="0">
          <Show when={above()}>
            {(to) => (
              <button type="button" class="files-row" onClick={() => go(to())}>
                <Folder size={15} aria-hidden="true" />
                <span class="files-name">Folder above</span>
              </button>
            )}
          </Show>
          <For each={looked()?.entries}>
            {(entry) => (
              <div class="files-row">
                <Show when={entry.kind === "folder"} fallback={<File_ size={15} aria-hidden="true" />}>
                  <Folder size={15} aria-hidden="true" />
                </Show>
                <Show
                  when={entry.kind === "folder"}
                  fallback={<span class="files-name ellipsis">{visible(entry.name)}</span>}
                >
                  <button type="button" class="files-name ellipsis" onClick={() => go(below(entry))}>
                    {visible(entry.name)}
                  </button>
                </Show>
                <span class="files-size tabular soft">
                  {entry.kind === "file" ? bytes(entry.size) : entry.kind === "folder" ? "" : entry.kind}
                </span>
                <span class="files-when faint">{dateTime(entry.changedMs)}</span>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={`Download ${visible(entry.name)}`}
                  title={entry.kind === "folder" ? "Download as a tar file" : "Download"}
                  disabled={off() || entry.kind === "link" || entry.kind === "other"}
                  onClick={() => void fetchOne(single() ? path() : below(entry), entry.name)}
                >
                  <Download size={15} aria-hidden="true" />
                </button>
              </div>
            )}
          </For>
          <Show when={!looked()?.entries.length}>
            <div class="empty">
              <Show
                when={refused()}
                fallback={
                  <Show when={looked()} fallback={<span>{looking() ? "Looking…" : ""}</span>}>
                    <strong>{path() === "." ? "The instance's own directory is empty" : "This folder is empty"}</strong>
                    <span>
                      {path() === "."
                        ? "What it writes without naming a folder lies here. Other folders are reached by their path, such as /etc."
                        : "No file has been written here."}
                    </span>
                  </Show>
                }
              >
                {(told) => (
                  <>
                    <strong>{visible(told().text)}</strong>
                    <span>{visible(told().hint)}</span>
                  </>
                )}
              </Show>
            </div>
          </Show>
          <Show when={looked()?.cut}>{(text) => <p class="files-cut soft">{text()}</p>}</Show>
        </div>
        <div class="files-send">
          <input
            ref={picker}
            type="file"
            multiple
            class="visually-hidden"
            aria-label="Files to upload"
            onChange={(event) => choose(event.currentTarget.files)}
          />
          <button type="button" class="button" disabled={single() || off()} onClick={() => picker?.click()}>
            <Upload size={14} aria-hidden="true" />
            Choose files…
          </button>
          <Show when={chosen().length}>
            <span class="ellipsis">
              {chosen().length === 1 ? visible(chosen()[0]?.name ?? "") : plural(chosen().length, "file")},{" "}
              {bytes(chosen().reduce((sum, file) => sum + file.size, 0))}
              <Show when={replaced().length}>
                {" "}
                <strong class="files-loss">
                  · takes the place of{" "}
                  {visible(
                    replaced()
                      .map((file) => file.name)
                      .join(", "),
                  )}
                </strong>
              </Show>
            </span>
            <button type="button" class="button primary" disabled={single() || off()} onClick={send}>
              Upload
            </button>
          </Show>
          <button
            type="button"
            class="button"
            disabled={off() || !looked() || single()}
            onClick={() => void fetchOne(path(), path() === "." ? "the instance's directory" : path())}
          >
            <Download size={14} aria-hidden="true" />
            Download all as tar
          </button>
          <Copied text={line()} />
        </div>
        <div class="files-job" role="status">
          <Show when={going()}>
            {(now) => (
              <>
                <span class="ellipsis">
                  {now().verb} {visible(now().what)}: {bytes(now().bytes)}
                  {now().whole ? ` of ${bytes(now().whole)}, ${percent(now().bytes, now().whole)}` : ""}
                </span>
                <progress aria-label="Progress" {...(now().whole ? { max: now().whole, value: now().bytes } : {})} />
                <button type="button" class="button" onClick={() => work?.abort()}>
                  Cancel
                </button>
              </>
            )}
          </Show>
          <Told job={job()} />
        </div>
      </section>
    </>
  );
}

function Told(props: { job: Job }) {
  const told = () => {
    const { job } = props;
    return job.kind === "done"
      ? { text: job.text, hint: "", bad: false }
      : job.kind === "failed"
        ? { ...job, bad: true }
        : undefined;
  };
  return (
    <Show when={told()}>
      {(now) => (
        <span class={`tone-${now().bad ? "bad" : "good"}`}>
          <span class="state-text">{visible(now().text)}</span> <span class="soft">{visible(now().hint)}</span>
        </span>
      )}
    </Show>
  );
}
