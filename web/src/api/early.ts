/**
 * What public/first.js asked of Nexus while this script was on its way: the view, and who is logged in. Each is taken once,
 * and only by the session that it was asked with.
 */
interface Early {
  proof: string;
  socket: WebSocket | null;
  opened: boolean;
  /** What came before the socket was taken, in order. */
  messages: MessageEvent[];
  closed: CloseEvent | null;
  caller: Promise<Response> | null;
}

declare global {
  var omnitideEarly: Early | undefined;
}

/** What has happened to it so far happens again, once whoever takes it has put its handlers on. */
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
  const { opened, messages, closed } = early;
  queueMicrotask(() => {
    if (opened) socket.onopen?.(new Event("open"));
    for (const message of messages.splice(0)) socket.onmessage?.(message);
    if (closed) socket.onclose?.(closed);
  });
  return socket;
}

export function takeCaller(proof: string): Promise<Response> | null {
  const early = globalThis.omnitideEarly;
  const caller = early?.caller;
  if (!early || !caller) return null;
  early.caller = null;
  return early.proof === proof ? caller : null;
}
