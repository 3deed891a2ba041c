/** Where the page of what an event is about is; empty for what has none. Of what is gone, its page says so. */
import { agentHref, nodeHref } from "../actions/target";

export function subjectHref(subject: string): string {
  const [kind, namespace = "", name = ""] = subject.split("/");
  if (kind === "node") return nodeHref(namespace);
  if (kind === "agent" && name) return agentHref(namespace, name);
  if (kind === "instance" && name) return `/instances/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  return "";
}

/** Of what wants an eye: `node alpha`, `agent shop/web`; empty for what has no page. */
export function concernHref(subject: string): string {
  const found = /^(node|agent|job) (?:([^/\s]+)\/)?(\S+)$/.exec(subject);
  if (!found) return "";
  const [, kind, namespace = "default", name = ""] = found;
  if (kind === "node") return nodeHref(name);
  return kind === "agent" ? agentHref(namespace, name) : `/instances?q=${encodeURIComponent(`job:${name}`)}`;
}
