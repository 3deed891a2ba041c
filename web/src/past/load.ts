/** A revision that has passed, over a WebSocket that ends by itself when all of it has been sent. */
import { proof } from "../api/session";
import { read, Unreadable } from "../state/frames";
import { apply, emptyModel, type Model } from "../state/model";
import { NotThere } from "./past";

/** Between two messages; the first comes when the revision is found. */
const WITHIN_MS = 20_000;

export function loadPast(revision: number, signal: AbortSignal): Promise<Model> {
  return new Promise((resolve, reject) => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const address = `${scheme}://${location.host}/v1/view?at=${revision}`;
    const socket = new WebSocket(address, ["omnitide.v1", `proof.${proof()}`]);
    const model = emptyModel();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (error?: NotThere) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", given);
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
      if (error) reject(error);
      else resolve(model);
    };
    const given = () => end(new NotThere("given up", 0, false));
    const late = () => end(new NotThere("Nexus takes long to look that far back; it is tried again", 0, true));
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(late, WITHIN_MS);
    };
    signal.addEventListener("abort", given);
    soon();
    socket.onmessage = (event) => {
      soon();
      try {
        const frame = read(String(event.data));
        if (frame) apply(model, frame);
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        end(new NotThere(error.message, 0, false));
        return;
      }
      if (model.filled) end();
    };
    socket.onclose = (event) => end(reasonOf(revision, event));
  });
}

/** By the code that Nexus closes with. */
function reasonOf(revision: number, event: CloseEvent): NotThere {
  if (event.code === 4410) {
    const first = toldFirst(event.reason);
    const kept = first ? `; the oldest that is kept is ${first}` : "";
    return new NotThere(`revision ${revision} is not kept any more${kept}`, first, false);
  }
  if (event.code === 4409) return new NotThere(`the fabric has never had revision ${revision}`, 0, false);
  if (event.code === 1013) return new NotThere("many look into the past; it is tried again", 0, true);
  return new NotThere("Nexus did not send it; it is tried again", 0, true);
}

function toldFirst(reason: string): number {
  try {
    const told = JSON.parse(reason) as { first?: unknown };
    return typeof told.first === "number" ? told.first : 0;
  } catch {
    return 0;
  }
}
