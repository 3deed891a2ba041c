/**
 * What public/first.js asked of Nexus while this script was on its way: the view, who is logged in, and what the page shows.
 * Each is taken once, and only by the session that it was asked with.
 */
import { turn } from "../state/turn";

interface Early {
  proof: string;
  socket: WebSocket | null;
  opened: boolean;
  /** What came before the socket was taken, in order. */
  messages: MessageEvent[];
  closed: CloseEvent | null;
  /** By path and query. */
  answers: Record<string, Promise<Response>>;
}

declare global {
  var omnitideEarly: Early | undefined;
}

/**
 * What has happened to it so far happens again, once whoever takes it has put its handlers on: a message at a time, as many
 * of them are a large fabric, and what comes meanwhile behind them.
 */
export function takeSocket(proof: string): WebSocket | null {
  const early = globalThis.omnitideEarly;
  const socket = early?.socket;
  if (!early || !socket) return null;
  early.socket = null;
  socket.onopen = socket.onmessage = socket.onclose = null;
  if (early.proof !== proof) {
    socket.close();
    return null;
  }
  // Until then nothing else can happen to it.
  queueMicrotask(() => void replay(socket, early));
  return socket;
}

async function replay(socket: WebSocket, early: Early): Promise<void> {
  const { onmessage, onclose } = socket;
  const { messages } = early;
  if (early.opened) socket.onopen?.(new Event("open"));
  const behind = (event: MessageEvent) => {
    messages.push(event);
  };
  socket.onmessage = behind;
  socket.onclose = (event) => {
    early.closed = event;
  };
  for (let next = messages.shift(); next; next = messages.shift()) {
    onmessage?.call(socket, next);
    if (messages.length) await turn();
    // Whoever took it has let go of it.
    if (socket.onmessage !== behind) return;
  }
  socket.onmessage = onmessage;
  socket.onclose = onclose;
  if (early.closed) onclose?.call(socket, early.closed);
}

/** The answer to what was asked for at that path, with its query. */
export function takeAnswer(path: string, proof: string): Promise<Response> | null {
  const early = globalThis.omnitideEarly;
  const answer = early?.answers[path];
  if (!early || !answer) return null;
  delete early.answers[path];
  return early.proof === proof ? answer : null;
}
