/** What a new agent begins with: something that runs, and says what it does. */
import type { Form } from "./lines";

export const TEMPLATES: Record<Form, string> = {
  yaml: `name: hello
replicas: 1
command: [python3, -m, http.server, "{port.http}"]
ports:
  http: {}
resources:
  cpu: 0.1
  memory: 32MiB
`,
  toml: `name = "hello"
replicas = 1
command = ["python3", "-m", "http.server", "{port.http}"]
ports = { http = {} }
resources = { cpu = 0.1, memory = "32MiB" }
`,
};
