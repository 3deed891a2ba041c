/** Where the page of what an event is about is; empty for what has none. Of what is gone, its page says so. */
import { agentHref, nodeHref } from "../actions";

export function subjectHref(subject: string): string {
  const [kind, namespace = "", name = ""] = subject.split("/");
  if (kind === "node") return nodeHref(namespace);
  if (kind === "agent" && name) return agentHref(namespace, name);
  if (kind === "instance" && name) return `/instances/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  return "";
}
